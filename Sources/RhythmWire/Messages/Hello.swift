/// What version of the protocol this code speaks.
package let protocolVersion: UInt32 = 1

/// The first frame of a client.
package struct Hello: Sendable, Hashable {
    package var protocolVersion: UInt32
    package var clientName: String
    package var clientVersion: String
    /// Credentials; empty for none.
    package var token: String

    /// Makes a hello.
    package init(
        protocolVersion: UInt32 = RhythmWire.protocolVersion, clientName: String, clientVersion: String,
        token: String = ""
    ) {
        self.protocolVersion = protocolVersion
        self.clientName = clientName
        self.clientVersion = clientVersion
        self.token = token
    }
}

/// Whatever prints a hello, on purpose or by mistake, prints no credentials.
extension Hello: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    package var description: String { "hello of \(clientName) \(clientVersion), version \(protocolVersion)" }
    package var debugDescription: String { description }
    package var customMirror: Mirror {
        Mirror(
            self,
            children: [
                "protocolVersion": protocolVersion, "clientName": clientName, "clientVersion": clientVersion,
                "token": token.isEmpty ? "(none)" : "(hidden)",
            ])
    }
}

/// The answer to a hello that was accepted.
package struct HelloReply: Sendable, Hashable {
    package var protocolVersion: UInt32
    package var serverName: String
    package var serverVersion: String
    package var features: [String]
    package var limits: ConnectionLimits
    /// Names the server; stays the same over restarts.
    package var serverID: String
    /// Grows with every start of the server.
    package var epoch: UInt64
    /// Names the store: the same for all servers that share it. Empty: a server that does not tell.
    package var storeID: String

    /// Makes an answer.
    package init(
        protocolVersion: UInt32 = RhythmWire.protocolVersion, serverName: String, serverVersion: String,
        features: [String] = [], limits: ConnectionLimits, serverID: String, epoch: UInt64,
        storeID: String = ""
    ) {
        self.protocolVersion = protocolVersion
        self.serverName = serverName
        self.serverVersion = serverVersion
        self.features = features
        self.limits = limits
        self.serverID = serverID
        self.epoch = epoch
        self.storeID = storeID
    }
}

/// What a server says that it can do beyond version 1 of the protocol.
package enum Feature {
    /// Others share its store: what one of them tells may be behind what another has told.
    package static let sharedStore = "shared_store"
}

/// What a connection may carry.
package struct ConnectionLimits: Sendable, Hashable {
    /// The longest frame towards the server, without its length.
    package var maxRequestBytes: UInt32
    /// The longest frame towards the client, without its length.
    package var maxResponseBytes: UInt32
    /// How many calls may be open at once.
    package var maxCalls: UInt32
    /// A peer that heard nothing for this long sends a ping.
    package var pingIntervalMilliseconds: UInt32
    /// How many workflows one watch may follow.
    package var maxWatchedWorkflows: UInt32
    /// A frame must be complete this long after its first byte.
    package var frameTimeoutMilliseconds: UInt32
    /// A peer that takes nothing of the answers that wait for it for this long is cut off.
    package var stallTimeoutMilliseconds: UInt32
    /// How long a call with one answer may take if the client does not say.
    package var defaultTimeoutMilliseconds: UInt32
    /// Pings that a client may send a second.
    package var maxPingsPerSecond: UInt32
    /// Calls that a client may cancel a second.
    package var maxCancelsPerSecond: UInt32

    /// Makes limits; 0 is said by servers that do not announce one.
    package init(
        maxRequestBytes: UInt32, maxResponseBytes: UInt32, maxCalls: UInt32, pingIntervalMilliseconds: UInt32,
        maxWatchedWorkflows: UInt32 = 0, frameTimeoutMilliseconds: UInt32 = 0, stallTimeoutMilliseconds: UInt32 = 0,
        defaultTimeoutMilliseconds: UInt32 = 0, maxPingsPerSecond: UInt32 = 0, maxCancelsPerSecond: UInt32 = 0
    ) {
        self.maxRequestBytes = maxRequestBytes
        self.maxResponseBytes = maxResponseBytes
        self.maxCalls = maxCalls
        self.pingIntervalMilliseconds = pingIntervalMilliseconds
        self.maxWatchedWorkflows = maxWatchedWorkflows
        self.frameTimeoutMilliseconds = frameTimeoutMilliseconds
        self.stallTimeoutMilliseconds = stallTimeoutMilliseconds
        self.defaultTimeoutMilliseconds = defaultTimeoutMilliseconds
        self.maxPingsPerSecond = maxPingsPerSecond
        self.maxCancelsPerSecond = maxCancelsPerSecond
    }
}

/// The server will close the connection: open calls still end, new ones are refused.
package struct GoAway: Sendable, Hashable {
    /// A stable upper-case word.
    package var reason: String
    package var message: String
    /// How long the server waits for open calls.
    package var graceMilliseconds: UInt32
    /// Calls with a higher id were not looked at.
    package var lastCallID: UInt64

    /// Makes a frame body.
    package init(reason: String, message: String, graceMilliseconds: UInt32, lastCallID: UInt64) {
        self.reason = reason
        self.message = message
        self.graceMilliseconds = graceMilliseconds
        self.lastCallID = lastCallID
    }
}
