/// Finds frames in a stream of bytes and reads them.
///
/// A value without locks: one decoder per connection, used by one thread at a time.
package struct FrameDecoder: Sendable {
    /// The limit until a hello was accepted.
    package static let helloLimit = 4096

    /// The longest frame that is accepted, without its length. To be changed once the hello was accepted.
    package var limit: Int

    /// Makes a decoder.
    package init(limit: Int = FrameDecoder.helloLimit) { self.limit = limit }
}
