import Synchronization

/// The name of a collection that may turn out to be another one while the program runs; shared by all who read it.
package final class MongoCollectionName: Sendable, Hashable {
    private let name: Mutex<String>

    package init(_ name: String) { self.name = Mutex(name) }

    /// What it is called now.
    package var value: String { name.withLock { $0 } }

    /// From now on it is called so.
    package func change(to name: String) { self.name.withLock { $0 = name } }

    package static func == (left: MongoCollectionName, right: MongoCollectionName) -> Bool {
        left.value == right.value
    }

    package func hash(into hasher: inout Hasher) { hasher.combine(value) }
}
