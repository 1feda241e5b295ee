pub struct SalesModule {
    db: Db,
    stock: StockClient,
}
const _: () = {
    const DECLARED: &[&str] = &[];
    const _: () = ::core::assert!(
        ::monolift::module::is_declared(< Db as ::monolift::Inject > ::CALLS, DECLARED),
        "`monolift-macros` calls the module behind `Db`, and its Cargo.toml does not say so: add that module's api package to its [dependencies]"
    );
    const _: () = ::core::assert!(
        ::monolift::module::is_declared(< StockClient as ::monolift::Inject > ::CALLS,
        DECLARED),
        "`monolift-macros` calls the module behind `StockClient`, and its Cargo.toml does not say so: add that module's api package to its [dependencies]"
    );
    const _: () = ::core::assert!(
        ::monolift::module::is_same(< dyn Orders as ::monolift::link::Interface >
        ::MODULE, "sales"),
        "`Orders` belongs to another module than `sales`: the module that provides an interface is the one whose api package declares it"
    );
    const _: () = ::core::assert!(
        ::monolift::module::is_same(< dyn Refunds as ::monolift::link::Interface >
        ::MODULE, "sales"),
        "`Refunds` belongs to another module than `sales`: the module that provides an interface is the one whose api package declares it"
    );
    const _: () = ::core::assert!(
        ::monolift::module::may_hear(< OrderPlaced as ::monolift::Event > ::MODULE,
        "sales", DECLARED),
        "`monolift-macros` listens to `OrderPlaced`, and its Cargo.toml does not name the module that publishes it: add that module's api package to its [dependencies]"
    );
    static FACTS: ::monolift::module::ModuleFacts = ::monolift::module::ModuleFacts {
        name: "sales",
        package: ::core::env!("CARGO_PKG_NAME"),
        calls: DECLARED,
        provides: &[
            ::monolift::link::InterfaceEntry::of::<dyn Orders>(),
            ::monolift::link::InterfaceEntry::of::<dyn Refunds>(),
        ],
        needs: &[
            ("db", <Db as ::monolift::Inject>::need),
            ("stock", <StockClient as ::monolift::Inject>::need),
        ],
        migrations: &[],
        work: &[],
        on: &[
            (
                <OrderPlaced as ::monolift::Event>::MODULE,
                <OrderPlaced as ::monolift::Event>::NAME,
            ),
        ],
        routes: false,
    };
    impl ::monolift::module::Module for SalesModule {
        fn facts() -> &'static ::monolift::module::ModuleFacts {
            &FACTS
        }
        #[allow(unused_variables)]
        async fn inject(
            injector: ::monolift::module::Injector,
        ) -> ::core::result::Result<Self, ::monolift::StartError> {
            ::core::result::Result::Ok(Self {
                db: injector.field::<Db>("db").await?,
                stock: injector.field::<StockClient>("stock").await?,
            })
        }
        #[allow(unused_variables)]
        fn publish(this: &::std::sync::Arc<Self>, links: &::monolift::link::Links) {
            {
                let module: ::std::sync::Arc<dyn Orders> = this.clone();
                links.link::<dyn Orders>().bind(module);
            }
            {
                let module: ::std::sync::Arc<dyn Refunds> = this.clone();
                links.link::<dyn Refunds>().bind(module);
            }
        }
        fn on(
            this: &::std::sync::Arc<Self>,
        ) -> ::std::vec::Vec<::monolift::data::events::Heard> {
            ::std::vec![
                ::monolift::data::events::Heard::of:: < OrderPlaced, Self > (this)
            ]
        }
        fn lifecycle(
            this: &::std::sync::Arc<Self>,
        ) -> ::core::option::Option<::std::sync::Arc<dyn ::monolift::Lifecycle>> {
            ::core::option::Option::Some(this.clone())
        }
    }
    ::monolift::__register_module!(SalesModule);
};
