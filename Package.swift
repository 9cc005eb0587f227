// swift-tools-version: 6.2
import PackageDescription

/// One set of rules for every Swift target, tests included.
let house: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .treatAllWarnings(as: .error),
]

let package = Package(
    name: "rhythm",
    platforms: [.macOS(.v15)],
    products: [
        .library(name: "RhythmCore", targets: ["RhythmCore"]),
        .library(name: "RhythmEngine", targets: ["RhythmEngine"]),
        .library(name: "RhythmStoreSQLite", targets: ["RhythmStoreSQLite"]),
        .library(name: "RhythmInProcessRunner", targets: ["RhythmInProcessRunner"]),
        .library(name: "RhythmLocalRunner", targets: ["RhythmLocalRunner"]),
        .library(name: "RhythmClient", targets: ["RhythmClient"]),
        .executable(name: "rhythmd", targets: ["rhythmd"]),
        .executable(name: "rhythm", targets: ["rhythm"]),
        .executable(name: "rhythm-supervisor", targets: ["rhythm-supervisor"]),
        .executable(name: "rhythm-bench", targets: ["rhythm-bench"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/swhitty/FlyingFox", from: "0.27.1"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
    ],
    targets: [
        // MARK: C
        .systemLibrary(
            name: "CProtobufC", pkgConfig: "libprotobuf-c",
            providers: [.apt(["libprotobuf-c-dev"])]),
        .target(name: "CRhythmProto", dependencies: ["CProtobufC"]),
        .systemLibrary(name: "CMongoC", pkgConfig: "libmongoc-1.0", providers: [.apt(["libmongoc-dev"])]),
        .systemLibrary(name: "CRabbitMQ", pkgConfig: "librabbitmq", providers: [.apt(["librabbitmq-dev"])]),
        .systemLibrary(name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
        .target(name: "CRhythmShims"),
        // Otherwise the linker driver adds the Swift runtime to a program in C: 5 MiB instead of 0.8 for every attempt.
        .executableTarget(
            name: "rhythm-supervisor",
            linkerSettings: [.unsafeFlags(["-static-executable", "-nostartfiles"], .when(platforms: [.linux]))]),

        // MARK: The pure core and the engine around it
        .target(name: "RhythmCore", swiftSettings: house),
        .target(name: "RhythmLane", swiftSettings: house),
        .target(
            name: "RhythmEngine",
            dependencies: [
                "RhythmCore", "RhythmLane", .product(name: "HeapModule", package: "swift-collections"),
                .product(name: "DequeModule", package: "swift-collections"),
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: house),

        // MARK: Stores and runners
        .target(
            name: "RhythmStoreSQLite",
            dependencies: [
                "RhythmCore", "RhythmEngine", .product(name: "GRDB", package: "GRDB.swift"),
                .product(name: "GRDBSQLite", package: "GRDB.swift"),
            ],
            swiftSettings: house),
        .target(
            name: "RhythmInProcessRunner", dependencies: ["RhythmCore", "RhythmEngine"], swiftSettings: house),
        .target(
            name: "RhythmLocalRunner",
            dependencies: [
                "RhythmCore", "RhythmEngine", "CRhythmShims", .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: house),

        // MARK: Past one machine: RabbitMQ, MongoDB, Celery
        .target(name: "CMongoShims", dependencies: ["CMongoC"]),
        .target(
            name: "RhythmMongo",
            dependencies: ["CMongoC", "CMongoShims", .product(name: "Logging", package: "swift-log")],
            swiftSettings: house),
        .target(
            name: "RhythmStoreMongo",
            dependencies: [
                "RhythmCore", "RhythmEngine", "RhythmMongo", .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: house),
        .target(
            name: "RhythmAMQP",
            dependencies: [
                "CRabbitMQ", .product(name: "DequeModule", package: "swift-collections"),
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: house),
        .target(
            name: "RhythmCelery",
            dependencies: [
                "RhythmCore", "RhythmEngine", "RhythmLane", "RhythmAMQP", "RhythmMongo",
                .product(name: "HeapModule", package: "swift-collections"),
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: house),

        .target(
            name: "RhythmPeers",
            dependencies: [
                "RhythmCore", "RhythmEngine", "RhythmAMQP", .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: house),

        // MARK: The wire, the server, the clients
        .target(
            name: "RhythmWire", dependencies: ["RhythmCore", "CRhythmProto", "CProtobufC"], swiftSettings: house),
        .target(name: "RhythmTLS", dependencies: ["COpenSSL"], swiftSettings: house),
        .target(name: "RhythmAuth", dependencies: ["RhythmCore", "RhythmTLS"], swiftSettings: house),
        .target(
            name: "RhythmServer",
            dependencies: [
                "RhythmCore", "RhythmEngine", "RhythmLane", "RhythmWire", "RhythmAuth", "RhythmTLS", "CRhythmShims",
                .product(name: "HeapModule", package: "swift-collections"),
                .product(name: "DequeModule", package: "swift-collections"),
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: house),
        .executableTarget(
            name: "rhythmd",
            dependencies: [
                "RhythmCore", "RhythmEngine", "RhythmServer", "RhythmStoreSQLite", "RhythmStoreMongo", "RhythmMongo",
                "RhythmLocalRunner", "RhythmCelery", "RhythmAMQP", "RhythmPeers", "RhythmWire",
                "RhythmAuth", "RhythmTLS", "CRhythmShims",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "FlyingFox", package: "FlyingFox"),
                .product(name: "FlyingSocks", package: "FlyingFox"),
                .product(name: "Logging", package: "swift-log"), .product(name: "Yams", package: "Yams"),
            ],
            swiftSettings: house),
        .target(
            name: "RhythmClient",
            dependencies: [
                "RhythmCore", "RhythmLane", "RhythmWire", "RhythmTLS", "CRhythmShims",
                .product(name: "DequeModule", package: "swift-collections"),
                .product(name: "HeapModule", package: "swift-collections"),
            ],
            path: "clients/swift", swiftSettings: house),
        .target(
            name: "RhythmCommands",
            dependencies: [
                "RhythmCore", "RhythmClient", "RhythmAuth",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Yams", package: "Yams"),
            ],
            path: "clients/cli/RhythmCommands", swiftSettings: house),
        .executableTarget(
            name: "rhythm", dependencies: ["RhythmCommands"], path: "clients/cli/rhythm", swiftSettings: house),
        .executableTarget(
            name: "rhythm-bench",
            dependencies: [
                "RhythmCore", "RhythmEngine", "RhythmStoreSQLite", "RhythmInProcessRunner", "RhythmLocalRunner",
                "RhythmWire", "RhythmServer", "RhythmClient", "CRhythmShims",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "Histogram", package: "hdrhistogram-swift"),
            ],
            swiftSettings: house),

        // MARK: Tests
        .target(
            name: "RhythmTesting",
            dependencies: ["RhythmCore", "RhythmEngine", .product(name: "Logging", package: "swift-log")],
            swiftSettings: house),
        .testTarget(name: "RhythmCoreTests", dependencies: ["RhythmCore", "RhythmTesting"], swiftSettings: house),
        .testTarget(
            name: "RhythmEngineTests",
            dependencies: [
                "RhythmCore", "RhythmEngine", "RhythmTesting", .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: house),
        .testTarget(
            name: "StoreContractTests",
            dependencies: [
                "RhythmCore", "RhythmEngine", "RhythmTesting", "RhythmStoreSQLite", "RhythmStoreMongo", "RhythmMongo",
                .product(name: "GRDB", package: "GRDB.swift"), .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: house),
        .testTarget(
            name: "RunnerContractTests",
            dependencies: [
                "RhythmCore", "RhythmEngine", "RhythmTesting", "RhythmInProcessRunner", "RhythmLocalRunner",
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: house),
        .testTarget(name: "RhythmMongoTests", dependencies: ["RhythmMongo", "RhythmTesting"], swiftSettings: house),
        .testTarget(
            name: "RhythmAMQPTests",
            dependencies: ["RhythmAMQP", "RhythmTesting", .product(name: "Logging", package: "swift-log")],
            swiftSettings: house),
        .testTarget(
            name: "RhythmCeleryTests",
            dependencies: [
                "RhythmCore", "RhythmEngine", "RhythmAMQP", "RhythmMongo", "RhythmStoreMongo", "RhythmStoreSQLite",
                "RhythmCelery", "RhythmLane", "RhythmTesting", .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: house),
        .testTarget(name: "RhythmAuthTests", dependencies: ["RhythmCore", "RhythmAuth"], swiftSettings: house),
        .testTarget(name: "RhythmTLSTests", dependencies: ["RhythmTLS", "RhythmTesting"], swiftSettings: house),
        .testTarget(
            name: "RhythmPeersTests",
            dependencies: [
                "RhythmCore", "RhythmEngine", "RhythmPeers", "RhythmAMQP", "RhythmInProcessRunner", "RhythmTesting",
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: house),
        .testTarget(name: "RhythmWireTests", dependencies: ["RhythmCore", "RhythmWire"], swiftSettings: house),
        .testTarget(
            name: "RhythmServerTests",
            dependencies: [
                "RhythmCore", "RhythmEngine", "RhythmWire", "RhythmServer", "RhythmClient", "RhythmTesting",
                "RhythmAuth", "RhythmTLS", "RhythmStoreSQLite", "RhythmInProcessRunner", "CRhythmShims",
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: house),
        .testTarget(
            name: "RhythmClientTests", dependencies: ["RhythmCore", "RhythmWire", "RhythmClient", "CRhythmShims"],
            swiftSettings: house),
        .testTarget(
            name: "RhythmdTests",
            dependencies: [
                "rhythmd", "RhythmAuth", "RhythmCelery", "RhythmMongo", "RhythmServer", "RhythmWire",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: house),
        .testTarget(
            name: "EndToEndTests",
            dependencies: [
                "RhythmCore", "RhythmEngine", "RhythmMongo", "RhythmStoreSQLite", "RhythmInProcessRunner",
                "RhythmClient",
                "RhythmCommands", "RhythmTesting", "rhythm", "rhythmd",
                "rhythm-supervisor",
            ],
            exclude: ["Snapshots"], swiftSettings: house),
        .testTarget(
            name: "AdoptionTests",
            dependencies: [
                "RhythmCore", "RhythmEngine", "RhythmMongo", "RhythmStoreMongo", "RhythmCelery", "RhythmServer",
                "RhythmWire", "RhythmClient", "RhythmTesting", "rhythmd", "rhythm",
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: house),
        .testTarget(name: "RhythmTestingTests", dependencies: ["RhythmTesting"], swiftSettings: house),
        .testTarget(name: "TidyTests", swiftSettings: house),
    ]
)

// `make tsan` and `make asan`: only what those tests need. A program that is linked statically cannot be sanitized.
if Context.environment["RHYTHM_SANITIZE"] != nil {
    let tests = ["RhythmWireTests", "RhythmServerTests", "RhythmClientTests", "RhythmEngineTests"]
    var needed: Set<String> = []
    var open = tests
    while let name = open.popLast() {
        guard needed.insert(name).inserted, let target = package.targets.first(where: { $0.name == name }) else {
            continue
        }
        for case .byNameItem(let dependency, _) in target.dependencies { open.append(dependency) }
    }
    package.targets.removeAll { !needed.contains($0.name) }
    package.products = []
}
