/// The applications (`app_id`) that somebody may see and act for.
///
/// Whatever is outside of it does not exist for him: a workflow of another application is answered like one that was
/// never there.
public enum AppScope: Sendable, Hashable {
    /// Every application, those to come included.
    case all
    /// These and no others.
    case only(Set<String>)

    /// Whether workflows of this application are in it.
    public func contains(_ appID: String) -> Bool {
        switch self {
        case .all: true
        case .only(let appIDs): appIDs.contains(appID)
        }
    }
}
