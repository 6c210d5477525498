use std::path::Path;

use super::mounts::network;

const MOUNTS: &str = "\
/dev/vda / ext4 rw,relatime 0 0
proc /proc proc rw,relatime 0 0
server:/export /srv/shared nfs4 rw,vers=4.2 0 0
/dev/vdb /srv/shared/local xfs rw 0 0
//host/share /mnt/my\\040share cifs rw 0 0
tmpfs /mnt/covered nfs rw 0 0
tmpfs /mnt/covered tmpfs rw 0 0
";

#[test]
fn the_deepest_and_latest_mount_decides_whether_a_folder_is_on_the_network() {
    let kind = |folder: &str| network(MOUNTS, Path::new(folder));
    assert_eq!(kind("/var/lib/engine"), None);
    assert_eq!(kind("/srv/shared/engine"), Some("nfs4"));
    assert_eq!(kind("/srv/shared"), Some("nfs4"));
    assert_eq!(kind("/srv/shared-not"), None);
    assert_eq!(kind("/srv/shared/local/engine"), None);
    assert_eq!(kind("/mnt/my share/x"), Some("cifs"));
    assert_eq!(kind("/mnt/covered"), None);
    assert_eq!(network("", Path::new("/x")), None);
    assert_eq!(network("nonsense\n\n", Path::new("/x")), None);
}
