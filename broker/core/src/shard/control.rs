//! Requests from the process around the shard.

use super::Shard;
use crate::control::Control;
use alloc::rc::Rc;
use core::any::Any;

impl Shard {
    pub(super) fn control(&mut self, message: &mut dyn Any) {
        let Some(request) = message.downcast_mut::<Control>() else { return };
        match core::mem::replace(request, Control::Configured) {
            // Steps that are under way elsewhere do not exist: nobody holds the old ones beyond a step.
            Control::Configure(settings) => self.hub.settings = Rc::new(*settings),
            Control::Configured => {}
        }
    }
}
