import RhythmCore
import RhythmWire

/// The watches that workflows join as they start, found by the application that they ask for: a workflow of another
/// one costs them nothing.
struct FilterWatches {
    private(set) var all: [ObjectIdentifier: Watch] = [:]
    private var ofApp: [String: [ObjectIdentifier: Watch]] = [:]
    private var ofAnyApp: [ObjectIdentifier: Watch] = [:]

    var isEmpty: Bool { all.isEmpty }

    mutating func insert(_ watch: Watch) {
        let key = ObjectIdentifier(watch)
        all[key] = watch
        if let app = watch.request.filter?.appID {
            ofApp[app, default: [:]][key] = watch
        } else {
            ofAnyApp[key] = watch
        }
    }

    /// Harmless for one that is not among them.
    mutating func remove(_ watch: Watch) {
        let key = ObjectIdentifier(watch)
        guard all.removeValue(forKey: key) != nil else { return }
        ofAnyApp[key] = nil
        guard let app = watch.request.filter?.appID else { return }
        ofApp[app]?[key] = nil
        if ofApp[app]?.isEmpty == true { ofApp[app] = nil }
    }

    /// Those that may mean workflows of `app`.
    func candidates(for app: String) -> [Watch] {
        Array(ofAnyApp.values) + (ofApp[app].map { Array($0.values) } ?? [])
    }
}
