mod blocking_crew;
mod local_queue;
mod park_and_notify;
mod readiness_word;
mod sleep_and_wake;
