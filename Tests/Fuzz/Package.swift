// swift-tools-version: 6.2
import PackageDescription

let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

func relay(_ name: String) -> Target.Dependency { .product(name: name, package: "hiveku-relay") }

func properties(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .target(
        name: name, dependencies: dependencies + [relay("FuzzSupport")], path: "Properties/\(name)",
        swiftSettings: strict)
}

func fuzzer(_ name: String, _ properties: [Target.Dependency]) -> Target {
    .executableTarget(
        name: "fuzz-" + name, dependencies: ["FuzzDriver"] + properties, path: "Fuzzers/" + name,
        swiftSettings: strict)
}

let nioCore: Target.Dependency = .product(name: "NIOCore", package: "swift-nio")
let nioEmbedded: Target.Dependency = .product(name: "NIOEmbedded", package: "swift-nio")

/// The programs that libFuzzer runs. They are built with the instrumentation of libFuzzer and of AddressSanitizer (see
/// `run.sh`). The product's own package must not be built with it.
let package = Package(
    name: "fuzz",
    dependencies: [
        // The name is given here, because otherwise the package's identity is the name of its folder, which can be any
        // name.
        .package(name: "hiveku-relay", path: "../.."),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
    ],
    targets: [
        .target(name: "CLibFuzzer", path: "Fuzzers/CLibFuzzer"),
        .target(
            name: "FuzzDriver", dependencies: ["CLibFuzzer", relay("FuzzSupport")], path: "Fuzzers/Driver",
            swiftSettings: strict),
        properties("MailProperties", [relay("SMTP"), relay("InternetMessage"), relay("MessageComposition"), nioCore]),
        properties("TLSProperties", [relay("NIOOpenSSL"), nioCore, nioEmbedded]),
        properties("SettingsProperties", [relay("Settings")]),
        properties("SESProperties", [relay("AWSClient"), relay("SESTransport"), relay("RelayCore")]),
        properties("FeedbackProperties", [relay("Feedback"), relay("RelayCore")]),
        properties("ListeningProperties", [relay("Listening"), nioCore]),
        properties("ResolverProperties", [relay("Resolver")]),
        properties(
            "HTTPProperties",
            [
                relay("StrictJSON"), relay("MessageComposition"), relay("Templates"), relay("HTTPServer"),
                relay("RelayCore"),
            ]),
        // These are separate programs, so that the short form in CI does not have to build the dependencies of all
        // properties.
        fuzzer("mail", ["MailProperties"]),
        fuzzer("tls", ["TLSProperties"]),
        fuzzer(
            "services",
            [
                "SettingsProperties", "SESProperties", "FeedbackProperties", "ListeningProperties", "HTTPProperties",
                "ResolverProperties",
            ]),
    ]
)
