impl ::monolift::InterfaceError for StockError {
    const RESPONSES: &'static [::monolift::call::ErrorResponse] = &[
        ::monolift::call::ErrorResponse {
            status: 404u16,
            code: "unknown-product",
            docs: "There is no such product.",
        },
        ::monolift::call::ErrorResponse {
            status: 422u16,
            code: "sold-out",
            docs: "",
        },
    ];
    fn call_error(&self) -> ::core::option::Option<&::monolift::CallError> {
        match self {
            Self::Call(error) => ::core::option::Option::Some(error),
            #[allow(unreachable_patterns)]
            _ => ::core::option::Option::None,
        }
    }
    fn response(&self) -> ::monolift::call::ErrorResponse {
        match self {
            Self::UnknownProduct { .. } => Self::RESPONSES[0usize],
            Self::SoldOut { .. } => Self::RESPONSES[1usize],
            Self::Call(error) => ::monolift::call::ErrorResponse::of(error),
        }
    }
}
impl<
    __Cause: ::core::convert::Into<::monolift::CallError>,
> ::core::convert::From<__Cause> for StockError {
    #[track_caller]
    fn from(error: __Cause) -> Self {
        Self::Call(error.into())
    }
}
