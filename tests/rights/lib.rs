//! Nothing: the tests are in `tests/`. They are a package of their own, because a program that links the shop's interfaces
//! cannot link others of the same modules.
