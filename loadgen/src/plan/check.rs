//! What a plan must not be. Absent: what concerns disturbances, see `disturbed`.

use super::{Pace, Plan};
use ringmq_wire::QoS;

impl Plan {
    /// What would never end, or could not be told apart.
    pub(super) fn check(&self) -> Result<(), String> {
        let Some(traffic) = &self.traffic else {
            if !self.ramp_up.is_zero() && self.connecting.rate.is_none() {
                return Err("--ramp-up: without messages it is the rate of connections that grows; name it with \
                            --connect-rate"
                    .into());
            }
            return Ok(());
        };
        if self.retained > 0 && traffic.qos == QoS::AtMostOnce {
            return Err("retained messages need qos 1 or 2: the acknowledgement says that they are stored".into());
        }
        if self.retained > 0 && self.scenario.share().is_some() {
            return Err("shared subscriptions bring no retained messages [MQTT-3.3.1-9]".into());
        }
        let bounded = !matches!(traffic.pace, Pace::Window { until_acknowledged: false, .. });
        if !bounded
            && let Some(unheard) = (0..self.live_publishers()).find(|publisher| self.scenario.copies(*publisher) == 0)
        {
            return Err(format!(
                "nobody subscribes to {}, so that no delivery would ever close its publisher's window: use a rate (--rate or --interval), or \
                 QoS 1 and let acknowledgements count",
                self.topic(unheard)
            ));
        }
        self.check_payload()
    }
}
