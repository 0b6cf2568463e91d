//! Which processor cores the shards run on, and in what order.
//!
//! A *core* here is what the operating system schedules on: one hardware thread, numbered as in `/proc/cpuinfo`.
//!
//! By default these are the cores that the process may use (its affinity mask, which a cpuset also limits), no more
//! than the CPU quota of its control group allows (rounded up), in this order:
//! 1. one hardware thread of every physical core before any second one, because two shards on one physical core slow
//!    each other down;
//! 2. among these, NUMA node by node, so that few shards stay close to each other's memory;
//! 3. then by package, physical core and number.
//!
//! Absent: memory placement, interrupt placement, and a difference between fast and slow cores.

mod list;
mod quota;

pub(crate) use list::CoreList;

use crate::config::Problem;
use list::parse_list;
use std::path::{Path, PathBuf};
use std::{fmt, fs};

/// The system's directories, at a place of choice so that tests can have their own.
#[derive(Debug, Clone)]
pub(crate) struct System {
    root: PathBuf,
}

/// Where shards shall run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Placement {
    /// The core of each shard, by shard number.
    pub(crate) cores: Vec<usize>,
    /// Cores asked for that this process may not use.
    pub(crate) not_allowed: Vec<usize>,
    /// The control group's quota in cores, rounded up, where it is less than the cores allowed.
    pub(crate) quota: Option<usize>,
}

impl Placement {
    /// What the operator should know of it: cores that are not ours, given those that are.
    pub(crate) fn warning(&self, allowed: &[usize]) -> Option<Problem> {
        if self.not_allowed.is_empty() {
            return None;
        }
        let wrong = list::written(&self.not_allowed);
        let problem = Problem::new(format!("not allowed to use core {wrong}: shards placed there run on any core"));
        Some(problem.with_help(format!("allowed: {}", list::written(allowed))))
    }
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cores = list::written(&self.cores);
        let plural = if self.cores.len() == 1 { "core" } else { "cores" };
        write!(f, "{} on {plural} {cores}", self.cores.len())?;
        self.quota.map_or(Ok(()), |quota| write!(f, " (the control group's CPU quota is {quota})"))
    }
}

impl Default for System {
    fn default() -> Self {
        Self { root: PathBuf::from("/") }
    }
}

impl System {
    /// The core for each shard: `wanted` or the default order; `shards` or one a core, at most `shards_max`. With more
    /// shards than cores, cores are used again from the first.
    ///
    /// `allowed` are the cores of the process's affinity mask.
    pub(crate) fn place(
        &self,
        allowed: &[usize],
        wanted: Option<&CoreList>,
        shards: Option<usize>,
        shards_max: usize,
    ) -> Placement {
        let (cores, not_allowed, quota) = match wanted {
            Some(list) => {
                let not_allowed = list.cores().iter().copied().filter(|core| !allowed.contains(core)).collect();
                (list.cores().to_vec(), not_allowed, None)
            }
            None => {
                let mut cores = self.ordered(allowed);
                let quota = quota::cores(&self.root).filter(|quota| *quota < cores.len());
                cores.truncate(quota.unwrap_or(cores.len()).max(1));
                (cores, Vec::new(), quota)
            }
        };
        // Where the affinity mask cannot be read there is still core 0.
        let cores = if cores.is_empty() { vec![0] } else { cores };
        let shards = shards.unwrap_or(cores.len()).min(shards_max);
        Placement { cores: cores.iter().copied().cycle().take(shards).collect(), not_allowed, quota }
    }

    /// `cores` in the order of this module's description.
    fn ordered(&self, cores: &[usize]) -> Vec<usize> {
        let nodes = self.nodes();
        let mut ranked: Vec<_> = cores
            .iter()
            .map(|&core| {
                let siblings = self.siblings(core);
                // Only siblings we may use count: if the first one is not ours, the second is as good.
                let rank = siblings.iter().filter(|other| **other < core && cores.contains(other)).count();
                let node = nodes.iter().position(|node| node.contains(&core));
                let package = self.number(core, "physical_package_id");
                let physical = self.number(core, "core_id");
                (rank, node, package, physical, core)
            })
            .collect();
        ranked.sort_unstable();
        ranked.dedup();
        ranked.into_iter().map(|(.., core)| core).collect()
    }

    /// The cores of each NUMA node, by node number.
    fn nodes(&self) -> Vec<Vec<usize>> {
        let Ok(entries) = fs::read_dir(self.root.join("sys/devices/system/node")) else { return Vec::new() };
        let mut nodes: Vec<(usize, Vec<usize>)> = entries
            .flatten()
            .filter_map(|entry| {
                let number = entry.file_name().to_str()?.strip_prefix("node")?.parse().ok()?;
                let list = fs::read_to_string(entry.path().join("cpulist")).ok()?;
                Some((number, parse_list(list.trim()).ok()?))
            })
            .collect();
        nodes.sort();
        nodes.into_iter().map(|(_, cores)| cores).collect()
    }

    /// The hardware threads of the physical core that `core` belongs to, `core` included; empty if unknown.
    fn siblings(&self, core: usize) -> Vec<usize> {
        let directory = self.topology(core);
        // The second name is the older one.
        let list = ["core_cpus_list", "thread_siblings_list"]
            .into_iter()
            .find_map(|file| fs::read_to_string(directory.join(file)).ok());
        list.and_then(|list| parse_list(list.trim()).ok()).unwrap_or_default()
    }

    fn number(&self, core: usize, file: &str) -> Option<usize> {
        fs::read_to_string(self.topology(core).join(file)).ok()?.trim().parse().ok()
    }

    fn topology(&self, core: usize) -> PathBuf {
        self.root.join(format!("sys/devices/system/cpu/cpu{core}/topology"))
    }
}

/// The cores that the calling thread may run on, in ascending order.
pub(crate) fn allowed() -> Vec<usize> {
    let mut cores: Vec<usize> =
        core_affinity::get_core_ids().unwrap_or_default().into_iter().map(|core| core.id).collect();
    cores.sort_unstable();
    cores
}

/// Binds the calling thread to a core; false if the system refuses.
pub(crate) fn pin(core: usize) -> bool {
    core_affinity::set_for_current(core_affinity::CoreId { id: core })
}

/// The text of a small file of the system, without the line end.
fn read(path: &Path) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Dir;

    /// A machine of `nodes` NUMA nodes, each one package with `physical` cores of two hardware threads; the second
    /// threads have the higher numbers, as Linux numbers them on x86.
    fn machine(nodes: usize, physical: usize) -> (Dir, System) {
        let dir = Dir::new("topology");
        let half = nodes * physical;
        for core in 0..2 * half {
            let (first, node) = (core % half, core % half / physical);
            let topology = format!("sys/devices/system/cpu/cpu{core}/topology");
            dir.write(&format!("{topology}/thread_siblings_list"), &format!("{first},{}\n", first + half));
            dir.write(&format!("{topology}/physical_package_id"), &format!("{node}\n"));
            dir.write(&format!("{topology}/core_id"), &format!("{}\n", first % physical));
        }
        for node in 0..nodes {
            let (low, high) = (node * physical, (node + 1) * physical - 1);
            let list = format!("{low}-{high},{}-{}\n", low + half, high + half);
            dir.write(&format!("sys/devices/system/node/node{node}/cpulist"), &list);
        }
        let system = System { root: dir.path("") };
        (dir, system)
    }

    fn place(system: &System, allowed: &[usize]) -> Vec<usize> {
        system.place(allowed, None, None, 64).cores
    }

    #[test]
    fn physical_cores_come_before_siblings_and_nodes_stay_together() {
        let (_dir, system) = machine(2, 2);
        assert_eq!(place(&system, &[0, 1, 2, 3, 4, 5, 6, 7]), [0, 1, 2, 3, 4, 5, 6, 7]);
        // Node 0 has 0, 1 and their siblings 4, 5; without 1, its sibling counts as a physical core.
        assert_eq!(place(&system, &[0, 2, 3, 4, 5, 7]), [0, 5, 2, 3, 4, 7]);
        assert_eq!(place(&system, &[3, 6, 7]), [6, 3, 7]);
    }

    #[test]
    fn siblings_that_are_neighbours_are_told_apart() {
        let dir = Dir::new("topology");
        for core in 0..4 {
            let topology = format!("sys/devices/system/cpu/cpu{core}/topology");
            let first = core / 2 * 2;
            dir.write(&format!("{topology}/core_cpus_list"), &format!("{first}-{}\n", first + 1));
        }
        let system = System { root: dir.path("") };
        assert_eq!(place(&system, &[0, 1, 2, 3]), [0, 2, 1, 3]);
    }

    #[test]
    fn a_system_that_tells_nothing_still_works() {
        let dir = Dir::new("topology");
        let system = System { root: dir.path("") };
        assert_eq!(place(&system, &[2, 0, 1]), [0, 1, 2]);
        assert_eq!(place(&system, &[]), [0]);
    }

    #[test]
    fn the_quota_limits_the_default_but_not_a_choice() {
        let (dir, system) = machine(2, 2);
        dir.write("proc/self/cgroup", "0::/box\n");
        dir.write("sys/fs/cgroup/box/cpu.max", "150000 100000\n");
        let all = [0, 1, 2, 3, 4, 5, 6, 7];
        let placement = system.place(&all, None, None, 64);
        assert_eq!((placement.cores, placement.quota), (vec![0, 1], Some(2)));
        let list = "7,0-2".parse().expect("a list");
        let placement = system.place(&all[..7], Some(&list), None, 64);
        assert_eq!(placement.cores, [7, 0, 1, 2]);
        let warning = placement.warning(&all[..7]).expect("7 is not allowed").to_string();
        assert!(warning.contains("core 7:") && warning.contains("allowed: 0-6"), "{warning}");
    }

    #[test]
    fn more_shards_than_cores_share_and_fewer_take_the_first() {
        let (_dir, system) = machine(1, 2);
        let list: CoreList = "3,1".parse().expect("a list");
        let cores = |shards, max| system.place(&[0, 1, 2, 3], Some(&list), shards, max).cores;
        assert_eq!(cores(Some(5), 64), [3, 1, 3, 1, 3]);
        assert_eq!(cores(Some(1), 64), [3]);
        assert_eq!(cores(None, 64), [3, 1]);
        assert_eq!(cores(Some(5), 4), [3, 1, 3, 1]);
    }

    #[test]
    fn this_thread_may_use_some_core() {
        assert!(!allowed().is_empty());
    }
}
