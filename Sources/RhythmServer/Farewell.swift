/// Why a server ends something that a client could have gone on with, and may: on another connection.
enum Farewell: CaseIterable {
    /// The server stops.
    case shutdown
    /// The server leaves its work to others, and goes on to answer.
    case draining
    /// The connection has reached its age.
    case connectionAge
    /// The watch has reached its age.
    case watchAge

    /// What a GoAway says.
    var reason: String {
        switch self {
        case .shutdown: "SHUTDOWN"
        case .draining: "DRAINING"
        case .connectionAge: "CONNECTION_AGE"
        case .watchAge: "WATCH_AGE"
        }
    }

    /// What the status of a call that has to end for it says.
    var streamReason: String {
        switch self {
        case .shutdown: "SHUTTING_DOWN"
        case .draining, .connectionAge, .watchAge: reason
        }
    }

    var message: String {
        switch self {
        case .shutdown: "the server is shutting down"
        case .draining: "the server leaves its work to others; go on with one of them"
        case .connectionAge: "the connection has reached its greatest age; connect again"
        case .watchAge: "the watch has reached its greatest age"
        }
    }
}
