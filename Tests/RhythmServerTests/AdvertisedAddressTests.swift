import RhythmCore
import RhythmServer
import RhythmWire
import Testing

extension ServerTests {
    /// Where a server says that it is.
    @Suite struct AdvertisedAddressTests {
        private let everywhere: [Endpoint] = [
            .tcp(host: "0.0.0.0", port: 7744), .tls(host: "::", port: 7745), .tcp(host: "10.0.0.1", port: 7746),
            .unix(path: "/run/s"),
        ]

        @Test func whatMeansEveryInterfaceIsNoAddress() {
            var configuration = ServerConfiguration()
            configuration.host = "flows1"
            #expect(
                configuration.addresses(listening: everywhere)
                    == ["flows1:7744", "tls://flows1:7745", "10.0.0.1:7746", "unix:/run/s"])
            configuration.advertised = ["flows.example.org:443"]
            #expect(configuration.addresses(listening: everywhere) == ["flows.example.org:443"])
        }

        @Test func clientsAreToldThat() async throws {
            try await Rig.with {
                $0.advertised = ["flows.example.org:443"]
            } _: { rig in
                guard case .listServers(let servers) = try await rig.peer().call(.listServers) else { return }
                #expect(servers.map(\.addresses) == [["flows.example.org:443"]])
            }
        }
    }
}
