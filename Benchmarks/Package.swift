// swift-tools-version: 6.2
import PackageDescription

let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

func relay(_ name: String) -> Target.Dependency { .product(name: name, package: "hiveku-relay") }

/// Benchmarks of the relay's parts. They are a separate package, so that a build of the relay need not fetch the tools
/// for benchmarks.
let package = Package(
    name: "benchmarks",
    dependencies: [
        // The package is given a name, because the identity of a package at a path is its folder's name, which can
        // differ.
        .package(name: "hiveku-relay", path: ".."),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        // It has no traits, because the counters of allocations and retains replace malloc and parts of the Swift
        // runtime.
        .package(url: "https://github.com/ordo-one/benchmark", from: "1.38.1", traits: []),
    ],
    targets: [
        .target(
            name: "Workloads",
            dependencies: [
                relay("InternetMessage"), relay("SMTP"), relay("RelayCore"), relay("Admission"), relay("SQLiteStore"),
                relay("NIOOpenSSL"), relay("TestSupport"), .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOEmbedded", package: "swift-nio"), .product(name: "Logging", package: "swift-log"),
            ], path: "Workloads", swiftSettings: strict),
        // Measures times, with percentiles.
        .executableTarget(
            name: "Micro", dependencies: ["Workloads", .product(name: "Benchmark", package: "benchmark")],
            path: "Micro", swiftSettings: strict,
            plugins: [.plugin(name: "BenchmarkPlugin", package: "benchmark")]),
        // Runs one workload a number of times, for valgrind. Valgrind fails on Swift's debugging information (DWARF 5),
        // so the linker strips it.
        .executableTarget(
            name: "once", dependencies: ["Workloads"], path: "Once", swiftSettings: strict,
            linkerSettings: [.unsafeFlags(["-Xlinker", "--strip-debug"])]),
        // The relay without its store, worker and log, for bench.py.
        .executableTarget(
            name: "storeless",
            dependencies: [
                "Workloads", relay("SMTPServer"), relay("Listening"), .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"), .product(name: "Logging", package: "swift-log"),
            ], path: "Storeless", swiftSettings: strict),
    ]
)
