//! A program that is built without HTTP.

use super::{Mode, System};

#[tokio::test]
async fn a_process_with_a_gateway_is_refused_with_the_name_of_the_feature() {
    let system = System::new(Mode::InProcess).manifest(|manifest| {
        let process = manifest.processes.entry("test".to_owned()).or_default();
        process.http = Some("127.0.0.1:0".to_owned());
    });
    let told = system.try_start().await.unwrap_err().to_string();
    assert!(told.contains("the feature `http` of `monolift`"), "{told}");
}
