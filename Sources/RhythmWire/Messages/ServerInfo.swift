/// How a server is.
package struct ServerInfo: Sendable, Hashable {
    /// Whether everything works.
    package enum Health: Sendable, Hashable, CaseIterable {
        case serving
        /// It answers, but not everything works.
        case degraded
        /// It answers, but follows no workflows.
        case notServing
    }

    package var serverVersion: String
    package var uptimeMilliseconds: UInt64
    package var activeWorkflows: UInt64
    package var connections: UInt64
    package var calls: UInt64
    package var watches: UInt64
    package var health: Health
    /// Why it is not serving.
    package var healthDetail: String
    package var runners: [String]
    package var serverID: String
    package var epoch: UInt64
    /// Hellos with wrong credentials since the server started.
    package var authenticationFailures: UInt64
    /// Names the store; see ``HelloReply/storeID``.
    package var storeID: String
    /// It follows no workflows and takes none.
    package var isDraining: Bool
    /// Workflows whose follower it is.
    package var followedWorkflows: UInt64

    /// Makes an answer.
    package init(
        serverVersion: String, uptimeMilliseconds: UInt64, activeWorkflows: UInt64, connections: UInt64,
        calls: UInt64, watches: UInt64, health: Health, healthDetail: String = "", runners: [String] = [],
        serverID: String, epoch: UInt64, authenticationFailures: UInt64 = 0, storeID: String = "",
        isDraining: Bool = false, followedWorkflows: UInt64 = 0
    ) {
        self.serverVersion = serverVersion
        self.uptimeMilliseconds = uptimeMilliseconds
        self.activeWorkflows = activeWorkflows
        self.connections = connections
        self.calls = calls
        self.watches = watches
        self.health = health
        self.healthDetail = healthDetail
        self.runners = runners
        self.serverID = serverID
        self.epoch = epoch
        self.authenticationFailures = authenticationFailures
        self.storeID = storeID
        self.isDraining = isDraining
        self.followedWorkflows = followedWorkflows
    }
}

/// How far a server has let go of its workflows.
package struct DrainReply: Sendable, Hashable {
    package var isDraining: Bool
    /// Workflows that it still follows.
    package var followedWorkflows: UInt64

    /// Makes an answer.
    package init(isDraining: Bool, followedWorkflows: UInt64) {
        self.isDraining = isDraining
        self.followedWorkflows = followedWorkflows
    }
}
