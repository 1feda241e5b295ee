async fn levels(mode: Mode) {
    check(mode).await;
}
mod levels {
    #[::core::prelude::v1::test]
    #[should_panic]
    fn in_process() {
        ::monolift::testing::run(super::levels(::monolift::testing::Mode::InProcess));
    }
    #[::core::prelude::v1::test]
    #[should_panic]
    fn encoded() {
        ::monolift::testing::run(super::levels(::monolift::testing::Mode::Encoded));
    }
    #[::core::prelude::v1::test]
    #[should_panic]
    fn over_a_connection() {
        ::monolift::testing::run(
            super::levels(::monolift::testing::Mode::OverAConnection),
        );
    }
}
