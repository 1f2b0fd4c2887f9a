//! Tests of whole recordings.
