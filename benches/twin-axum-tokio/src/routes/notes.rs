//! The notes over HTTP.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{
        Path, State,
        rejection::{JsonRejection, PathRejection},
    },
    http::{StatusCode, header::LOCATION},
    response::IntoResponse,
    routing::get,
};
use serde::Deserialize;

use crate::{
    notes::{Note, Notes},
    problem::Problem,
};

/// The longest text of a note, in characters.
const TEXT_MAX: usize = 1000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewNote {
    text: String,
}

pub fn routes(notes: Arc<Notes>) -> Router {
    Router::new()
        .route("/notes", get(list).post(create))
        .route("/notes/{id}", get(show).delete(remove))
        .with_state(notes)
}

async fn list(State(notes): State<Arc<Notes>>) -> Json<Vec<Note>> {
    Json(notes.list())
}

async fn create(
    State(notes): State<Arc<Notes>>,
    body: Result<Json<NewNote>, JsonRejection>,
) -> Result<impl IntoResponse, Problem> {
    let Json(NewNote { text }) = body?;
    if !(1..=TEXT_MAX).contains(&text.chars().count()) {
        let detail = format!("The text of a note has 1 to {TEXT_MAX} characters.");
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
    }
    let note = notes.add(text).ok_or_else(|| {
        Problem::new(StatusCode::INSUFFICIENT_STORAGE, "The store is full: delete a note first.")
    })?;
    let location = format!("/notes/{}", note.id);
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(note)))
}

async fn show(
    State(notes): State<Arc<Notes>>,
    id: Result<Path<u64>, PathRejection>,
) -> Result<Json<Note>, Problem> {
    let Path(id) = id?;
    notes.find(id).map(Json).ok_or_else(|| no_note(id))
}

async fn remove(
    State(notes): State<Arc<Notes>>,
    id: Result<Path<u64>, PathRejection>,
) -> Result<StatusCode, Problem> {
    let Path(id) = id?;
    notes.remove(id).map(|_| StatusCode::NO_CONTENT).ok_or_else(|| no_note(id))
}

fn no_note(id: u64) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, format!("There is no note {id}."))
}
