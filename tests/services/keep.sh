#!/bin/sh
# keep.sh OUT ERR COMMAND [ARGUMENT…]
#
# Runs a command for as long as our standard input stays open, then kills it. Whoever starts a service through this and
# keeps the other end of the pipe can't leave it behind, not even by being killed. Prints the command's process id;
# ends with the command's own status.
out=$1 err=$2
shift 2

# A background command would get /dev/null as its input: the pipe is passed on under another number, and only to the
# one that watches it.
exec 3<&0
"$@" </dev/null >"$out" 2>"$err" 3<&- &
child=$!
{
  while read -r _; do :; done
  kill -KILL "$child"
} <&3 3<&- >/dev/null 2>&1 &
watch=$!
exec 3<&-
echo "$child"
# The shell would announce that the command was killed.
exec 2>/dev/null

wait "$child"
status=$?
kill "$watch" 2>/dev/null
exit "$status"
