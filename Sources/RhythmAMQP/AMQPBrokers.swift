import Synchronization

/// The brokers that a program may use, in the order in which they are tried, as in Celery's `broker_url`.
///
/// One object for all connections of a program. A connection that is lost is made anew where it was; if that fails, with
/// the next broker of the list, round and round. Which of them was found alive is shared, so that connections which lose
/// theirs later look there first and all come together again.
package final class AMQPBrokers: Sendable, CustomStringConvertible {
    /// Never empty.
    package let addresses: [AMQPAddress]
    private let current = Atomic(0)

    /// One broker.
    package init(_ address: AMQPAddress) { addresses = [address] }

    /// Reads addresses separated by `;`. All but the first may be a mere host, with everything else as in the first.
    ///
    /// - Throws: for a list of several, the error says which one is wrong.
    package init(parsing text: String) throws(AMQPAddress.Malformed) {
        let parts = text.split(separator: ";", omittingEmptySubsequences: false)
        var found: [AMQPAddress] = []
        for (index, part) in parts.enumerated() {
            do throws(AMQPAddress.Malformed) {
                found.append(try Self.address(part, after: found.first))
            } catch {
                guard parts.count > 1 else { throw error }
                throw AMQPAddress.Malformed(
                    description: "address \(index + 1) of \(parts.count) (a ; comes between two addresses, one within a"
                        + " password is written %3B): \(error)")
            }
        }
        addresses = found
    }

    private static func address(
        _ text: Substring, after first: AMQPAddress?
    ) throws(AMQPAddress.Malformed) -> AMQPAddress {
        guard var address = first, !text.isEmpty, AMQPAddress.isHostName(String(text)) else {
            return try AMQPAddress(parsing: String(text))
        }
        address.host = String(text)
        return address
    }

    /// Without passwords.
    package var description: String { addresses.map(\.description).joined(separator: ", ") }

    /// Where to begin.
    var start: Int { current.load(ordering: .relaxed) }

    /// A broker has let somebody in.
    func found(_ index: Int) { current.store(index, ordering: .relaxed) }
}
