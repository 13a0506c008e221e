mod local_queue;
mod park_and_notify;
mod readiness_word;
mod relay;
mod sleep_and_wake;
mod stand_in;
mod watch;
