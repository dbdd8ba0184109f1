//! The image builder from outside: what it makes is read back by other programs, what it must refuse is tried on it.

mod attacks;
mod boot;
mod build;
mod config;
mod initramfs;
mod layers;
mod real;
mod recipes;
mod support;
