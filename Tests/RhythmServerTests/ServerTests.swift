import Testing

/// All tests of the server, one after the other: they count descriptors and memory of their process, and the times they
/// allow for are short.
@Suite(.serialized) enum ServerTests {}
