mod insert_and_park;
mod local_queue;
mod park_and_notify;
mod readiness_word;
mod sleep_and_wake;
mod task_counts;
