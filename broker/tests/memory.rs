//! The memory broker passes what every broker must pass.

use chatup_broker::store::StoreSettings;
use chatup_broker::{conformance, memory};

#[test]
fn the_memory_broker_conforms() {
    conformance::check(|| {
        let settings = StoreSettings { messages_max: 1_000, expire_ms: 60_000 };
        memory::start(settings).expect("a thread").0
    });
}
