//! Examples that are programs of tutorials, run as part of a test in virtual time.

#[allow(dead_code)] // Its `main` is for those who run it.
#[path = "../../examples/pipeline.rs"]
mod pipeline;

use crate::support::ms;
use crate::support::program::{run_each, run_exact};

/// S0-09: the pipeline as a program of one's own: all items come through, at the pace of the consumers.
#[test]
fn s0_09_the_pipeline_that_is_an_example() {
    let run = run_exact(|_| pipeline::pipeline());
    assert_eq!(run.value.unwrap(), [7, 7, 6]);
    assert_eq!(run.took, ms(5 + 7 * 20));
    run_each(
        |_| pipeline::pipeline(),
        |run| assert_eq!(run.value.unwrap().iter().sum::<u32>(), 20),
    );
}
