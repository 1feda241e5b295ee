#[::monolift::async_trait]
/// Stock levels and reservations.
pub trait Stock: ::core::marker::Send + ::core::marker::Sync + 'static {
    /// Units on hand for one product.
    async fn level(&self, sku: &str) -> Result<Level, StockError>;
    async fn reserve(
        &self,
        order: OrderId,
        lines: Vec<Line>,
        note: Option<String>,
    ) -> Result<Reservation, StockError>;
}
///Calls [`Stock`], wherever its module runs. Cheap to clone.
#[derive(Clone, Debug)]
pub struct StockClient {
    link: ::monolift::link::Link<dyn Stock>,
}
#[allow(clippy::too_many_arguments)]
impl StockClient {
    /// A client that calls `module` directly, such as a fake in a test.
    #[allow(dead_code)]
    pub fn new(module: impl Stock) -> Self {
        Self {
            link: ::monolift::link::Link::to(::std::sync::Arc::new(module)),
        }
    }
    ///Units on hand for one product.
    pub async fn level(&self, sku: &str) -> Result<Level, StockError> {
        match self.link.local() {
            ::core::option::Option::Some(module) => {
                self.link.call(0usize, module.level(sku)).await
            }
            ::core::option::Option::None => {
                #[derive(::monolift::__private::serde::Serialize)]
                #[serde(crate = "::monolift::__private::serde")]
                struct __Arguments<'a> {
                    sku: &'a str,
                }
                let arguments = __Arguments { sku };
                self.link.send(0usize, &arguments).await
            }
        }
    }
    ///
    pub async fn reserve(
        &self,
        order: OrderId,
        lines: Vec<Line>,
        note: Option<String>,
    ) -> Result<Reservation, StockError> {
        match self.link.local() {
            ::core::option::Option::Some(module) => {
                self.link.call_limited(1usize, module.reserve(order, lines, note)).await
            }
            ::core::option::Option::None => {
                #[derive(::monolift::__private::serde::Serialize)]
                #[serde(crate = "::monolift::__private::serde")]
                struct __Arguments<'a> {
                    order: ::monolift::interface::Sent<'a, OrderId>,
                    lines: ::monolift::interface::Sent<'a, Vec<Line>>,
                    note: ::monolift::interface::Sent<'a, Option<String>>,
                }
                let arguments = __Arguments {
                    order: ::monolift::interface::Sent(&order),
                    lines: ::monolift::interface::Sent(&lines),
                    note: ::monolift::interface::Sent(&note),
                };
                self.link.send(1usize, &arguments).await
            }
        }
    }
}
#[::monolift::async_trait]
impl Stock for StockClient {
    async fn level(&self, sku: &str) -> Result<Level, StockError> {
        StockClient::level(self, sku).await
    }
    async fn reserve(
        &self,
        order: OrderId,
        lines: Vec<Line>,
        note: Option<String>,
    ) -> Result<Reservation, StockError> {
        StockClient::reserve(self, order, lines, note).await
    }
}
const _: () = {
    static METHODS: [::monolift::interface::Method; 2usize] = [
        ::monolift::interface::Method {
            callee: ::monolift::call::Callee {
                module: "stock",
                interface: "Stock",
                method: "level",
                deadline: ::core::option::Option::None,
                rule: ::core::option::Option::Some(
                    &::monolift::call::Rule {
                        any_of: &[
                            ::monolift::call::Grant::User {
                                roles: &[],
                                scopes: &[],
                            },
                        ],
                    },
                ),
                meter: ::monolift::call::Meter::new(),
            },
            docs: "Units on hand for one product.",
            idempotent: true,
            limit: ::core::option::Option::None,
            route: ::core::option::Option::Some(::monolift::interface::Route {
                method: ::monolift::interface::HttpMethod::Get,
                path: "/products/{sku}/stock",
                body: ::core::option::Option::None,
                created: ::core::option::Option::None,
                idempotency_key: false,
            }),
            arguments: &[
                ::monolift::interface::Argument {
                    name: "sku",
                    schema: ::monolift::interface::Schema::of::<::std::string::String>(),
                    default: ::core::option::Option::None,
                    may_be_ignored: false,
                },
            ],
            answer: ::monolift::interface::Schema::of::<
                <Result<Level, StockError> as ::monolift::interface::Returned>::Answer,
            >(),
            error: ::monolift::interface::Schema::of::<
                <Result<Level, StockError> as ::monolift::interface::Returned>::Error,
            >(),
            responses: <<Result<
                Level,
                StockError,
            > as ::monolift::interface::Returned>::Error as ::monolift::InterfaceError>::RESPONSES,
            gives: {
                type __Error = <Result<
                    Level,
                    StockError,
                > as ::monolift::interface::Returned>::Error;
                let _ = |error: &__Error| {
                    ::core::matches!(error, __Error::UnknownProduct { .. })
                };
                ::core::option::Option::Some(
                    &["unknown-product"] as &'static [&'static str],
                )
            },
        },
        ::monolift::interface::Method {
            callee: ::monolift::call::Callee {
                module: "stock",
                interface: "Stock",
                method: "reserve",
                deadline: ::core::option::Option::Some(
                    ::core::time::Duration::from_nanos(30000000000u64),
                ),
                rule: ::core::option::Option::Some(
                    &::monolift::call::Rule {
                        any_of: &[
                            ::monolift::call::Grant::User {
                                roles: &["staff"],
                                scopes: &["stock:write"],
                            },
                            ::monolift::call::Grant::Service,
                        ],
                    },
                ),
                meter: ::monolift::call::Meter::new(),
            },
            docs: "",
            idempotent: false,
            limit: ::core::option::Option::Some(4u32),
            route: ::core::option::Option::Some(::monolift::interface::Route {
                method: ::monolift::interface::HttpMethod::Post,
                path: "/holds",
                body: ::core::option::Option::None,
                created: ::core::option::Option::Some("/holds/{id}"),
                idempotency_key: true,
            }),
            arguments: &[
                ::monolift::interface::Argument {
                    name: "order",
                    schema: ::monolift::interface::Schema::of::<OrderId>(),
                    default: ::core::option::Option::None,
                    may_be_ignored: false,
                },
                ::monolift::interface::Argument {
                    name: "lines",
                    schema: ::monolift::interface::Schema::of::<Vec<Line>>(),
                    default: ::core::option::Option::Some(
                        ::monolift::__private::default_of::<Vec<Line>>,
                    ),
                    may_be_ignored: false,
                },
                ::monolift::interface::Argument {
                    name: "note",
                    schema: ::monolift::interface::Schema::of::<Option<String>>(),
                    default: ::core::option::Option::None,
                    may_be_ignored: true,
                },
            ],
            answer: ::monolift::interface::Schema::of::<
                <Result<
                    Reservation,
                    StockError,
                > as ::monolift::interface::Returned>::Answer,
            >(),
            error: ::monolift::interface::Schema::of::<
                <Result<
                    Reservation,
                    StockError,
                > as ::monolift::interface::Returned>::Error,
            >(),
            responses: <<Result<
                Reservation,
                StockError,
            > as ::monolift::interface::Returned>::Error as ::monolift::InterfaceError>::RESPONSES,
            gives: ::core::option::Option::None,
        },
    ];
    static LOCAL: [::monolift::call::Callee; 0usize] = [];
    static DESCRIPTOR: ::monolift::interface::InterfaceDescriptor = ::monolift::interface::InterfaceDescriptor {
        module: "stock",
        name: "Stock",
        docs: "Stock levels and reservations.",
        methods: &METHODS,
        local: &LOCAL,
        routes: ::core::option::Option::None,
        hash: ::std::sync::OnceLock::new(),
    };
    impl ::monolift::link::Interface for dyn Stock {
        type Client = StockClient;
        const MODULE: &'static str = "stock";
        #[inline]
        fn descriptor() -> &'static ::monolift::interface::InterfaceDescriptor {
            &DESCRIPTOR
        }
        fn client(link: ::monolift::link::Link<Self>) -> StockClient {
            StockClient { link }
        }
        fn invoke<P: ::monolift::interface::Protocol>(
            client: StockClient,
            method: usize,
            input: P::Input,
        ) -> ::monolift::__private::BoxFuture<'static, P::Output> {
            match method {
                0usize => {
                    #[derive(::monolift::__private::serde::Deserialize)]
                    #[serde(crate = "::monolift::__private::serde")]
                    struct __Arguments {
                        sku: ::monolift::interface::Received<::std::string::String>,
                    }
                    ::std::boxed::Box::pin(
                        P::run(
                            input,
                            move |arguments: __Arguments| async move {
                                client.level(&arguments.sku.0).await
                            },
                        ),
                    )
                }
                1usize => {
                    #[derive(::monolift::__private::serde::Deserialize)]
                    #[serde(crate = "::monolift::__private::serde")]
                    struct __Arguments {
                        order: ::monolift::interface::Received<OrderId>,
                        #[serde(default)]
                        lines: ::monolift::interface::Received<Vec<Line>>,
                        note: ::monolift::interface::Received<Option<String>>,
                    }
                    ::std::boxed::Box::pin(
                        P::run(
                            input,
                            move |arguments: __Arguments| async move {
                                client
                                    .reserve(
                                        arguments.order.0,
                                        arguments.lines.0,
                                        arguments.note.0,
                                    )
                                    .await
                            },
                        ),
                    )
                }
                _ => {
                    ::std::boxed::Box::pin(
                        ::core::future::ready(P::unknown_method(input)),
                    )
                }
            }
        }
    }
    ::monolift::__register_interface!(dyn Stock, StockClient);
};
