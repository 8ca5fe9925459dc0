//! The zoo's networks: their counts, and that they run as the reference says.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use tilewise::zoo;

#[test]
fn dump() {
    for network in zoo::NETWORKS {
        match zoo::count(network, &network.default_variant()) {
            Ok(i) => println!(
                "{:22} macs {:>14} params {:>12} act {:>11} live {}",
                network.name, i.macs, i.params, i.activation_elements, i.peak_live_bytes
            ),
            Err(e) => println!("{} {e}", network.name),
        }
    }
}
