/// One connection of a server, for who looks after it.
package struct ConnectionInfo: Sendable, Hashable {
    /// Grows with every connection that the server accepts.
    package var id: UInt64
    package var peer: String
    /// As its hello says.
    package var clientName: String
    /// How it was recognised; empty before its hello was accepted.
    package var identity: String
    package var ageMilliseconds: UInt64
    /// Since anything came from it.
    package var silentMilliseconds: UInt64
    /// Those that are open, watches and logs included.
    package var openCalls: UInt32
    package var watches: UInt32
    /// Those that have begun in all.
    package var calls: UInt64
    /// As they went over the network.
    package var bytesIn: UInt64
    package var bytesOut: UInt64
    /// What it has not taken yet.
    package var waitingBytes: UInt64

    /// Makes a row.
    package init(
        id: UInt64, peer: String, clientName: String = "", identity: String = "", ageMilliseconds: UInt64 = 0,
        silentMilliseconds: UInt64 = 0, openCalls: UInt32 = 0, watches: UInt32 = 0, calls: UInt64 = 0,
        bytesIn: UInt64 = 0, bytesOut: UInt64 = 0, waitingBytes: UInt64 = 0
    ) {
        self.id = id
        self.peer = peer
        self.clientName = clientName
        self.identity = identity
        self.ageMilliseconds = ageMilliseconds
        self.silentMilliseconds = silentMilliseconds
        self.openCalls = openCalls
        self.watches = watches
        self.calls = calls
        self.bytesIn = bytesIn
        self.bytesOut = bytesOut
        self.waitingBytes = waitingBytes
    }
}
