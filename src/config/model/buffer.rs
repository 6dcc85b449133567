//! `listeners[].buffer`: what is kept here, so that a slow client keeps no backend waiting.

use crate::config::read::keys;
use crate::config::text::FilePath;
use crate::config::units::Bytes;

keys! {
    /// What is kept here, so that a slow client keeps no backend waiting. Not for WebSockets, nor for requests of gRPC.
    struct Buffer {
        /// Request bodies are read before a backend is chosen; null: they are passed on as they come.
        request: Option<RequestBuffer> = "null",
        /// Bytes of each response that are taken off the backend ahead of the client; null: none. Nothing waits for more
        /// to come, so events and streams are not delayed.
        response: Option<Bytes> = "null",
        /// Memory that all buffers of this listener share. Once it is used up, bodies and responses pass on as they come.
        memory: Bytes = "256MiB",
    }
}

keys! {
    /// Request bodies are read before a backend is chosen. What is longer than allowed is passed on as it comes.
    struct RequestBuffer {
        /// Bytes of one body that are kept in memory.
        memory: Bytes = "64KiB",
        /// Folder for what is beyond that; null: none. Files in it have no name, and end with their request.
        folder: Option<FilePath> = "null",
        /// Bytes of one body that are kept in a file.
        file: Bytes = "1GiB",
        /// Disk space that all bodies of this listener share.
        disk: Bytes = "10GiB",
    }
}
