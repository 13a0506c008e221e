mod executors;
mod runtimes;
