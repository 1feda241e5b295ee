//! Both modules in one process.

monolift::process!("../deployment.toml", "app");
