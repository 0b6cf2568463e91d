//! The reference page of all settings, made from the table of keys.

use super::keys::keys;

const HEAD: &str = "\
# Configuration

Made from the broker's table of keys by `ringmq --print-keys`; a test keeps this page current.

Settings come in layers, later ones win: the defaults below, `base.hocon` beside the file, the file given with
`--config` or else `etc/ringmq.conf` if there is one, what was changed at run time (`configs/cluster.hocon` in the data
directory), environment variables, `--set key=value`, and the other flags of the command line.

- **File**: HOCON, a superset of JSON, with EMQX's keys; `include \"other.conf\"`, `${substitutions}` and comments
  work. Keys that EMQX has and ringmq does not are skipped with one warning a group, which tells those that are not
  available yet from those that have no meaning here; any other unknown key is an error with its place.
- **Environment**: `EMQX_MQTT__MAX_INFLIGHT=64` or `RINGMQ_MQTT__MAX_INFLIGHT=64` is `mqtt.max_inflight`. Keys below
  `ringmq` need no group: `RINGMQ_SHARDS=2`.
- **Command line**: `--set mqtt.max_inflight=64`. `--cores`, `--shards`, `--driver` and `--data-dir` stand for
  `ringmq.cores`, `ringmq.shards`, `ringmq.driver` and `node.data_dir`. `--tcp` replaces all listeners; they keep the
  options of the one named `default`.

`ringmq check-config --config FILE` tells all that is wrong, without starting. `ringmq print-config --origin` prints the
effective value of every key and where it came from.

Keys below `alarm`, `broker`, `listeners`, `mqtt`, `force_shutdown`, `overload_protection`, `auto_subscribe`,
`conn_congestion`, `delayed`, `flapping_detect`, `retainer`, `rewrite`, `slow_subs`, `sysmon`, `topic_metrics` and
`ringmq.back_pressure`, `ringmq.limit_action`, `ringmq.queue_full_policy`, `ringmq.queue_full_policies`,
`ringmq.overload_lateness`, `ringmq.queues`, zones, and levels of the log can change while the broker runs; all others
are read when it starts: [control.md](control.md).

Durations have a unit (`us`, `ms`, `s`, `m`, `h`, `d`) and may be joined (`1h30m`). Sizes have `B`, `KB`, `MB` or `GB`,
1024-based. A value `null` restores the default. `<name>` is a name of your choice.
An entry reads: key, default, what is allowed; then what it does.
";

const ZONES: &str = "
## zones

- **`zones.<name>.KEY`**: any of the keys below `mqtt` except those of the strategy of shared subscriptions, those
  below `force_shutdown`, `overload_protection` and `ringmq.back_pressure`, `ringmq.limit_action`,
  `ringmq.queue_full_policy` and `ringmq.queue_full_policies`
  What holds for the clients of the listeners that name this zone, in the place of KEY itself; what a zone does not have
  is as without it. `zones.default` is for listeners that name none: [limits.md](limits.md).
";

/// Most columns of a line.
const COLUMNS: usize = 120;

/// The page in Markdown.
pub(crate) fn reference_page() -> String {
    let mut page = HEAD.to_owned();
    let mut group = "";
    for key in keys() {
        let root = key.path.split('.').next().unwrap_or(key.path);
        if root != group {
            group = root;
            page.push_str(&format!("\n## {root}\n\n"));
        }
        let default = if key.default.is_empty() { "(empty)".to_owned() } else { format!("`{}`", key.default) };
        page.push_str(&wrapped(&format!("- **`{}`** {default}: {}", key.path, key.kind.allowed())));
        page.push_str(&wrapped(&format!("  {}", key.doc)));
    }
    page.push_str(ZONES);
    page
}

/// Breaks one item of a list into lines, each with its end.
fn wrapped(item: &str) -> String {
    let mut lines = String::new();
    let mut columns = 0;
    for word in item.trim_start().split(' ') {
        let width = word.chars().count();
        let gap = if columns == 0 {
            if item.starts_with(' ') { "  " } else { "" }
        } else if columns + 1 + width > COLUMNS {
            columns = 0;
            "\n  "
        } else {
            " "
        };
        lines.push_str(gap);
        lines.push_str(word);
        columns += gap.trim_start_matches('\n').len() + width;
    }
    lines.push('\n');
    lines
}
