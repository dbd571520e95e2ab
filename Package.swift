// swift-tools-version: 6.2
import PackageDescription

let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

func library(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: strict)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], exclude: [String] = []) -> Target {
    .testTarget(name: name, dependencies: dependencies, exclude: exclude, swiftSettings: strict)
}

let nioCore: Target.Dependency = .product(name: "NIOCore", package: "swift-nio")
let nioPosix: Target.Dependency = .product(name: "NIOPosix", package: "swift-nio")
let nioEmbedded: Target.Dependency = .product(name: "NIOEmbedded", package: "swift-nio")
let nioHTTP1: Target.Dependency = .product(name: "NIOHTTP1", package: "swift-nio")
let asyncHTTPClient: Target.Dependency = .product(name: "AsyncHTTPClient", package: "async-http-client")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let metrics: Target.Dependency = .product(name: "Metrics", package: "swift-metrics")
let hummingbirdCore: Target.Dependency = .product(name: "HummingbirdCore", package: "hummingbird")
let httpTypes: Target.Dependency = .product(name: "HTTPTypes", package: "swift-http-types")
let nioHTTPTypes: Target.Dependency = .product(name: "NIOHTTPTypes", package: "swift-nio-extras")
let serviceLifecycle: Target.Dependency = .product(name: "ServiceLifecycle", package: "swift-service-lifecycle")

let package = Package(
    name: "hiveku-relay",
    products: [
        .executable(name: "hiveku-relay", targets: ["hiveku-relay"]),
        .library(name: "NIOOpenSSL", targets: ["NIOOpenSSL", "COpenSSL"]),
        .library(name: "InternetMessage", targets: ["InternetMessage"]),
        .library(name: "MessageComposition", targets: ["MessageComposition"]),
        .library(name: "Templates", targets: ["Templates"]),
        .library(name: "SMTP", targets: ["SMTP"]),
        .library(name: "RelayCore", targets: ["RelayCore"]),
        .library(name: "Admission", targets: ["Admission"]),
        .library(name: "SQLiteStore", targets: ["SQLiteStore"]),
        .library(name: "Listening", targets: ["Listening"]),
        .library(name: "StrictJSON", targets: ["StrictJSON"]),
        .library(name: "HTTPServer", targets: ["HTTPServer"]),
        .library(name: "OperatorPage", targets: ["OperatorPage"]),
        .library(name: "SMTPServer", targets: ["SMTPServer"]),
        .library(name: "Settings", targets: ["Settings"]),
        .library(name: "AWSClient", targets: ["AWSClient"]),
        .library(name: "SESTransport", targets: ["SESTransport"]),
        .library(name: "Webhooks", targets: ["Webhooks"]),
        .library(name: "Resolver", targets: ["Resolver"]),
        .library(name: "Feedback", targets: ["Feedback"]),
        .library(name: "FuzzSupport", targets: ["FuzzSupport"]),
        .library(name: "TestSupport", targets: ["TestSupport"]),
    ],
    traits: [
        .trait(
            name: "PostgreSQL",
            description:
                "The store for several relays on one PostgreSQL. It loads libpq when it is used; the build needs nothing."
        )
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-extras", from: "1.35.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-configuration", from: "1.4.0", traits: ["YAML"]),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1", traits: []),
    ],
    targets: [
        .target(
            name: "COpenSSL",
            linkerSettings: [.linkedLibrary("ssl"), .linkedLibrary("crypto")]
        ),
        // Functions of glibc that Swift's module of glibc lacks.
        .target(name: "CMemory"),
        // The system's resolver, whose functions are macros with a large state.
        .target(name: "CResolver", linkerSettings: [.linkedLibrary("resolv")]),
        library("Resolver", ["CResolver", "RelayCore", nioPosix]),
        library("Domains", ["Resolver", "RelayCore", "InternetMessage", "Hashing", "StrictJSON"]),
        library("NIOOpenSSL", ["COpenSSL", nioCore]),
        library("InternetMessage", []),
        library("SMTP", ["InternetMessage", nioCore]),
        library("Hashing", ["COpenSSL"]),
        library("RelayCore", ["StrictJSON", "Hashing"]),
        library("Admission", ["RelayCore", "InternetMessage", logging]),
        library(
            "Listening",
            [
                "RelayCore", nioCore, nioPosix, logging,
                .product(name: "NIOExtras", package: "swift-nio-extras"),
            ]),
        library(
            "SQLiteStore",
            [
                "CMemory", "RelayCore", .product(name: "GRDB", package: "GRDB.swift"),
                .product(name: "GRDBSQLite", package: "GRDB.swift"),
            ]),
        // libpq is loaded when it is first needed, so the target does not link with it.
        .target(name: "CPostgreSQL", linkerSettings: [.linkedLibrary("dl")]),
        library("PostgreSQLStore", ["CPostgreSQL", "RelayCore"]),
        library("StrictJSON", []),
        library("MessageComposition", ["InternetMessage"]),
        library("Templates", ["RelayCore", "StrictJSON", "MessageComposition"]),
        library("TemplateFiles", ["RelayCore", "StrictJSON", "Templates", "Yams"]),
        library(
            "HTTPServer",
            [
                "StrictJSON", "Domains", "MessageComposition", "Templates", "NIOOpenSSL", "RelayCore",
                "InternetMessage", "Admission", "Listening", "Hashing", nioCore, nioPosix, nioHTTP1, logging,
                hummingbirdCore, httpTypes, nioHTTPTypes,
                .product(name: "NIOExtras", package: "swift-nio-extras"),
                .product(name: "NIOHTTPTypesHTTP1", package: "swift-nio-extras"),
            ]),
        // The page's files are part of the program, so nothing has to be installed beside it.
        .target(
            name: "OperatorPage",
            dependencies: [
                "HTTPServer", "Domains", "Resolver", "Templates", "TemplateFiles", "StrictJSON", "Admission",
                "RelayCore",
                "Hashing", "InternetMessage", "MessageComposition", "Listening", nioCore, logging, hummingbirdCore,
                httpTypes,
            ],
            resources: [
                .embedInCode("Resources/style.css"), .embedInCode("Resources/page.js"),
                .embedInCode("Resources/icon.svg"),
            ],
            swiftSettings: strict),
        library(
            "SMTPServer",
            [
                "SMTP", "NIOOpenSSL", "RelayCore", "InternetMessage", "Admission", "Listening", nioCore, logging,
                .product(name: "NIOExtras", package: "swift-nio-extras"),
            ]),
        library("Delivery", ["RelayCore", logging]),
        library("SenderReports", ["RelayCore", "InternetMessage", "MessageComposition", logging]),
        library("Supervision", ["RelayCore", nioCore, logging]),
        library(
            "Settings",
            ["InternetMessage", "RelayCore", .product(name: "Configuration", package: "swift-configuration"), "Yams"]),
        library("AWSClient", ["RelayCore", "Hashing", nioCore, nioPosix, nioHTTP1, logging, asyncHTTPClient]),
        library(
            "SESTransport",
            [
                "AWSClient", "Domains", "InternetMessage", "StrictJSON", "RelayCore", "Hashing", nioCore, nioHTTP1,
                logging,
                asyncHTTPClient,
            ]),
        library(
            "Webhooks",
            ["AWSClient", "Resolver", "RelayCore", "Hashing", nioCore, nioPosix, nioHTTP1, logging, asyncHTTPClient]),
        library("Feedback", ["AWSClient", "StrictJSON", "RelayCore", nioCore, nioHTTP1, logging, asyncHTTPClient]),
        library("PrometheusMetrics", [metrics]),
        library(
            "Telemetry",
            [
                "PrometheusMetrics", "RelayCore", "NIOOpenSSL", "Admission", "Listening", "SMTPServer", "HTTPServer",
                "Delivery", "Feedback", "SenderReports", "Webhooks", nioCore, nioPosix,
                logging, metrics, serviceLifecycle,
                hummingbirdCore, httpTypes, nioHTTPTypes,
            ]),
        library("Diagnosis", ["RelayCore", "NIOOpenSSL", "AWSClient", "SESTransport", "Feedback", "Settings"]),
        .executableTarget(
            name: "hiveku-relay",
            dependencies: [
                "CMemory", "Diagnosis", "NIOOpenSSL", "SMTP", "RelayCore", "Admission", "SQLiteStore", "Listening",
                "SMTPServer",
                "Delivery", "AWSClient", "SESTransport", "Feedback", "InternetMessage", "Settings", "Supervision",
                "Telemetry", "StrictJSON", "Domains", "Resolver", "HTTPServer", "OperatorPage", "SenderReports",
                "Webhooks",
                "Templates", "TemplateFiles",
                .target(name: "PostgreSQLStore", condition: .when(traits: ["PostgreSQL"])),
                nioCore, nioPosix, logging,
                serviceLifecycle,
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ],
            swiftSettings: strict
        ),

        .target(
            name: "TestSupport", dependencies: ["RelayCore", logging], path: "Tests/TestSupport", swiftSettings: strict),
        .target(
            name: "StoreContract", dependencies: ["RelayCore", "TestSupport"], path: "Tests/StoreContract",
            swiftSettings: strict),
        // For tests that start programs, such as a PostgreSQL server.
        .target(name: "ProcessSupport", path: "Tests/ProcessSupport", swiftSettings: strict),
        .target(
            name: "PostgreSQLTestSupport", dependencies: ["ProcessSupport"], path: "Tests/PostgreSQLTestSupport",
            swiftSettings: strict),
        tests("PostgreSQLTestSupportTests", ["PostgreSQLTestSupport"]),
        // Composes emails. Tests/Integration checks that several mail parsers find in them what the application gave.
        .executableTarget(
            name: "compose-probe", dependencies: ["MessageComposition", "InternetMessage"], path: "Tests/ComposeProbe",
            swiftSettings: strict),
        // Runs the store on PostgreSQL without the rest of the relay, for benchmarks.
        .executableTarget(
            name: "postgresql-probe", dependencies: ["PostgreSQLStore", "RelayCore", "TestSupport"],
            path: "Tests/PostgreSQLProbe", swiftSettings: strict),
        .target(name: "FuzzSupport", path: "Tests/Fuzz/Support", swiftSettings: strict),
        tests(
            "SQLiteStoreTests",
            [
                "SQLiteStore", "RelayCore", "StoreContract", "TestSupport",
                .product(name: "GRDB", package: "GRDB.swift"),
                .product(name: "GRDBSQLite", package: "GRDB.swift"),
            ]),
        tests(
            "PostgreSQLStoreTests",
            ["PostgreSQLStore", "SQLiteStore", "RelayCore", "StoreContract", "TestSupport", "PostgreSQLTestSupport"]),
        tests(
            "NIOOpenSSLTests",
            ["NIOOpenSSL", "COpenSSL", "ProcessSupport", "TestSupport", nioCore, nioPosix, nioEmbedded]),
        tests(
            "InternetMessageTests", ["InternetMessage", "ProcessSupport", "TestSupport"],
            exclude: ["Corpus", "Support"]),
        tests("StrictJSONTests", ["StrictJSON", "ProcessSupport", "TestSupport"]),
        tests("MessageCompositionTests", ["MessageComposition", "InternetMessage", "TestSupport"]),
        tests("TemplateFilesTests", ["TemplateFiles", "RelayCore", "StrictJSON", "Templates", "TestSupport"]),
        tests(
            "TemplatesTests",
            ["Templates", "MessageComposition", "InternetMessage", "RelayCore", "StrictJSON", "TestSupport"]),
        tests(
            "HTTPServerTests",
            [
                "HTTPServer", "Domains", "Resolver", "StrictJSON", "MessageComposition", "Templates", "Listening",
                "Admission",
                "InternetMessage",
                "NIOOpenSSL", "ProcessSupport", "RelayCore", "SQLiteStore", "TestSupport", nioCore, nioPosix,
                nioEmbedded, nioHTTP1,
                logging,
                httpTypes,
                nioHTTPTypes,
            ]),
        tests(
            "OperatorPageTests",
            [
                "OperatorPage", "HTTPServer", "Admission", "InternetMessage", "RelayCore", "StrictJSON", "Templates",
                "TestSupport", nioCore,
                httpTypes,
            ]),
        tests("ResolverTests", ["Resolver", "RelayCore", "TestSupport", nioCore, nioPosix]),
        tests(
            "DomainsTests", ["Domains", "Resolver", "RelayCore", "InternetMessage", "StrictJSON", "TestSupport"]),
        tests("SMTPTests", ["SMTP", "InternetMessage", "TestSupport", nioCore]),
        tests("HashingTests", ["Hashing"]),
        tests("RelayCoreTests", ["RelayCore", "TestSupport"]),
        tests("SupervisionTests", ["Supervision", "RelayCore", "TestSupport", nioCore, nioPosix, logging]),
        tests("SenderReportsTests", ["SenderReports", "RelayCore", "InternetMessage", "TestSupport", logging]),
        tests("DeliveryTests", ["Delivery", "RelayCore", "StoreContract", "TestSupport", logging]),
        .target(
            name: "AWSTestSupport",
            dependencies: ["AWSClient", "ProcessSupport", "RelayCore", "TestSupport", nioCore, nioPosix, nioHTTP1],
            path: "Tests/AWSTestSupport", swiftSettings: strict),
        tests(
            "AWSClientTests",
            [
                "AWSClient", "AWSTestSupport", "RelayCore", "TestSupport", nioCore, nioPosix, nioHTTP1, "Hashing",
                logging,
                asyncHTTPClient,
            ]),
        tests(
            "SESTransportTests",
            [
                "SESTransport", "AWSClient", "AWSTestSupport", "Domains", "InternetMessage", "RelayCore", "TestSupport",
                nioCore, nioPosix, nioHTTP1, "Hashing", logging, asyncHTTPClient,
            ]),
        tests(
            "WebhooksTests",
            [
                "Webhooks", "AWSTestSupport", "RelayCore", "TestSupport", nioCore, nioPosix, nioHTTP1, "Hashing",
                logging,
                asyncHTTPClient,
            ]),
        tests(
            "FeedbackTests",
            [
                "Feedback", "AWSClient", "AWSTestSupport", "StrictJSON", "RelayCore", "TestSupport", nioHTTP1, logging,
                asyncHTTPClient,
            ]),
        tests("SettingsTests", ["Settings", "InternetMessage", "RelayCore", "TestSupport"], exclude: ["Fixtures"]),
        tests(
            "SMTPServerTests",
            [
                "SMTPServer", "Listening", "Admission", "InternetMessage", "NIOOpenSSL", "RelayCore", "TestSupport",
                nioCore, nioPosix, nioEmbedded, logging, .product(name: "NIOExtras", package: "swift-nio-extras"),
            ]),
        .testTarget(
            name: "FuzzTests",
            dependencies: [
                "FuzzSupport", "SMTP", "InternetMessage", "NIOOpenSSL", "COpenSSL", "Settings", "SESTransport",
                "AWSClient", "Feedback", "RelayCore", "StrictJSON", "MessageComposition", "Templates",
                "HTTPServer", "Listening", "Resolver", nioCore,
                nioEmbedded,
            ],
            path: "Tests/Fuzz/Properties", swiftSettings: strict),
        tests(
            "ListeningTests",
            ["Listening", "RelayCore", "TestSupport", nioCore, nioPosix, nioEmbedded, logging]),
        tests("OutageTests", ["Delivery", "SQLiteStore", "RelayCore", "TestSupport", logging]),
        tests("DiagnosisTests", ["Diagnosis", "RelayCore", "NIOOpenSSL", "SESTransport", "Feedback", "Settings"]),
        // Tests of the program's own code without running the program, which Tests/Integration does.
        tests(
            "HivekuRelayTests",
            [
                "hiveku-relay", "Diagnosis", "Listening", "NIOOpenSSL", "RelayCore", "SMTPServer", "Settings",
                "StrictJSON", "Supervision", "Telemetry", "TestSupport", logging, serviceLifecycle,
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ]),
        tests("PrometheusMetricsTests", ["PrometheusMetrics", metrics]),
        tests(
            "TelemetryTests",
            [
                "Telemetry", "PrometheusMetrics", "RelayCore", "NIOOpenSSL", "Admission", "Listening", "SMTPServer",
                "Delivery", "Feedback", "Webhooks", "TestSupport", nioCore, nioPosix, nioEmbedded, logging, metrics,
                serviceLifecycle,
            ]),
        // The package Benchmarks measures these. It is seldom built, so the tests here make sure that they compile and
        // run.
        .target(
            name: "Workloads",
            dependencies: [
                "InternetMessage", "SMTP", "RelayCore", "Admission", "SQLiteStore", "NIOOpenSSL", "TestSupport",
                nioCore,
                nioEmbedded, logging,
            ], path: "Benchmarks/Workloads", swiftSettings: strict),
        tests("WorkloadsTests", ["Workloads"]),
        tests("AdmissionTests", ["Admission", "InternetMessage", "RelayCore", "SQLiteStore", "TestSupport", logging]),
    ]
)

// For `make docs` only: a build of the relay does not need the plugin that renders the documentation.
if Context.environment["HIVEKU_RELAY_DOCS"] != nil {
    package.dependencies.append(.package(url: "https://github.com/swiftlang/swift-docc-plugin", from: "1.5.0"))
}
