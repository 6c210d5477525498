//! The name of this instance: unique among the processes of a machine, the same after a restart.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;
use std::sync::Arc;

/// Processes of one machine that may share a state folder.
const MOST: u32 = 1_000;

/// A name that is ours while this lives: the operating system gives the lock back even after a kill -9.
#[derive(Debug)]
pub struct Instance {
    /// The name.
    pub name: Arc<str>,
    _lock: Option<File>,
}

impl Instance {
    /// The name of the settings, or `<hostname>-<n>` with the lowest n whose lock file in the state folder is free.
    pub fn take(named: Option<&Arc<str>>, state: &Path) -> Result<Self, String> {
        if let Some(name) = named.filter(|name| !name.is_empty()) {
            return Ok(Instance { name: Arc::clone(name), _lock: None });
        }
        let trouble =
            |error| format!("can't lock in the state folder `{}`: {error}", state.display());
        std::fs::create_dir_all(state).map_err(trouble)?;
        for n in 0..MOST {
            let path = state.join(format!("instance-{n}.lock"));
            let file = OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .open(&path)
                .map_err(trouble)?;
            match file.try_lock() {
                Ok(()) => {
                    let host = gethostname::gethostname().to_string_lossy().into_owned();
                    return Ok(Instance { name: format!("{host}-{n}").into(), _lock: Some(file) });
                }
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(trouble(error)),
            }
        }
        Err(format!("{MOST} instances hold a lock in the state folder `{}`", state.display()))
    }
}
