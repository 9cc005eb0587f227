/// How much somebody may do. Each role may do all that the ones before it may.
package enum Role: String, Sendable, Hashable, CaseIterable, Comparable {
    /// Look at workflows, follow them, read their logs.
    case read
    /// Start, pause, resume and cancel them, too.
    case operate
    /// Delete them, too.
    case admin

    package static func < (lhs: Role, rhs: Role) -> Bool { lhs.rank < rhs.rank }

    private var rank: Int {
        switch self {
        case .read: 0
        case .operate: 1
        case .admin: 2
        }
    }
}
