//! The CPU quota of this process's control group: `cpu.max` of version 2, `cpu.cfs_quota_us` of version 1.
//!
//! Quotas hold for a whole subtree, so the smallest on the way up to the root counts. In a container the root that can
//! be seen is usually the container's own.
//!
//! Absent: CPU weights, and cpusets (the affinity mask has these already).

use super::read;
use std::path::Path;

/// The quota in cores, rounded up; `None` without one.
pub(super) fn cores(root: &Path) -> Option<usize> {
    let groups = read(&root.join("proc/self/cgroup"))?;
    let quotas = groups.lines().filter_map(|line| {
        // hierarchy:controllers:path
        let mut fields = line.splitn(3, ':');
        let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        if controllers.is_empty() {
            let mounts = ["sys/fs/cgroup", "sys/fs/cgroup/unified"];
            mounts.iter().filter_map(|mount| least(&root.join(mount), path, version_2)).min()
        } else if controllers.split(',').any(|controller| controller == "cpu") {
            let mounts = ["sys/fs/cgroup/cpu", "sys/fs/cgroup/cpu,cpuacct"];
            mounts.iter().filter_map(|mount| least(&root.join(mount), path, version_1)).min()
        } else {
            None
        }
    });
    quotas.min()
}

/// The smallest quota from the group at `path` up to the mount point.
fn least(mount: &Path, path: &str, quota: fn(&Path) -> Option<usize>) -> Option<usize> {
    let group = Path::new(path.trim_start_matches('/'));
    group.ancestors().filter_map(|group| quota(&mount.join(group))).min()
}

/// `cpu.max` is `quota period` or `max period`, microseconds.
fn version_2(group: &Path) -> Option<usize> {
    let text = read(&group.join("cpu.max"))?;
    let (quota, period) = text.split_once(' ')?;
    whole_cores(quota.parse().ok()?, period.parse().ok()?)
}

/// `cpu.cfs_quota_us` is negative without a quota.
fn version_1(group: &Path) -> Option<usize> {
    let quota = read(&group.join("cpu.cfs_quota_us"))?;
    let period = read(&group.join("cpu.cfs_period_us"))?;
    whole_cores(quota.parse().ok()?, period.parse().ok()?)
}

fn whole_cores(quota: u64, period: u64) -> Option<usize> {
    if period == 0 {
        return None;
    }
    usize::try_from(quota.div_ceil(period).max(1)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Dir;

    fn quota(files: &[(&str, &str)]) -> Option<usize> {
        let dir = Dir::new("quota");
        files.iter().for_each(|(name, text)| dir.write(name, text));
        cores(&dir.path(""))
    }

    #[test]
    fn version_2_takes_the_smallest_on_the_way_up() {
        let group = ("proc/self/cgroup", "0::/a/b\n");
        assert_eq!(quota(&[group]), None);
        assert_eq!(quota(&[group, ("sys/fs/cgroup/a/b/cpu.max", "max 100000\n")]), None);
        assert_eq!(quota(&[group, ("sys/fs/cgroup/a/b/cpu.max", "250000 100000\n")]), Some(3));
        let both =
            [group, ("sys/fs/cgroup/a/b/cpu.max", "max 100000\n"), ("sys/fs/cgroup/a/cpu.max", "50000 100000\n")];
        assert_eq!(quota(&both), Some(1));
        assert_eq!(quota(&[("proc/self/cgroup", "0::/\n"), ("sys/fs/cgroup/cpu.max", "200000 100000\n")]), Some(2));
    }

    #[test]
    fn version_1_has_two_files() {
        let group = ("proc/self/cgroup", "5:memory:/m\n3:cpu,cpuacct:/box\n0::/\n");
        let period = ("sys/fs/cgroup/cpu/box/cpu.cfs_period_us", "100000\n");
        assert_eq!(quota(&[group, period, ("sys/fs/cgroup/cpu/box/cpu.cfs_quota_us", "-1\n")]), None);
        assert_eq!(quota(&[group, period, ("sys/fs/cgroup/cpu/box/cpu.cfs_quota_us", "400000\n")]), Some(4));
    }

    #[test]
    fn nonsense_is_no_quota() {
        let group = ("proc/self/cgroup", "0::/\nnonsense\n");
        for text in ["", "1", "x y", "1 0", "99999999999999999999999 1"] {
            assert_eq!(quota(&[group, ("sys/fs/cgroup/cpu.max", text)]), None, "{text}");
        }
        assert_eq!(quota(&[]), None);
    }
}
