import AWSTestSupport
import Foundation
import RelayCore
import TestSupport
import Testing

@testable import AWSClient

private func service(_ clock: ManualClock = ManualClock.forCalls()) -> MetadataService {
    MetadataService(clock: clock)
}

private let document = """
    {"Code":"Success","LastUpdated":"2026-11-24T14:00:00Z","Type":"AWS-HMAC","AccessKeyId":"ASIAEXAMPLE",
    "SecretAccessKey":"secret","Token":"token","Expiration":"2026-11-24T20:33:17Z"}
    """

/// This is never nil. If it were nil, no answer would be equal to it.
private let documented = AWSCredentials(
    accessKeyID: "ASIAEXAMPLE", secretAccessKey: "secret", sessionToken: "token",
    expiresAt: Timestamp(iso8601: "2026-11-24T20:33:17Z")
).map(SourceAnswer.found)

@Suite struct CredentialsDocumentTests {
    @Test(
        arguments: [
            ("2026-11-24T14:33:17Z", 1_795_530_797_000), ("2026-11-24T14:33:17.250Z", 1_795_530_797_250),
            ("1970-01-01T00:00:00Z", 0), ("tomorrow", nil), ("", nil), ("2026-13-24T14:33:17Z", nil),
        ] as [(String, Int64?)])
    func readsTimes(text: String, milliseconds: Int64?) {
        #expect(Timestamp(iso8601: text)?.milliseconds == milliseconds)
    }

    @Test(arguments: [
        "", "[]", #"{"AccessKeyId":"a"}"#, #"{"AccessKeyId":"a","SecretAccessKey":"hush","Expiration":"soon"}"#,
        #"{"AccessKeyId":"a","SecretAccessKey":"hush hush"}"#,
        #"{"Code":"Failed","AccessKeyId":"a","SecretAccessKey":"hush"}"#,
    ])
    func refusesOthers(_ body: String) {
        guard case .failed(let why) = CredentialsDocument.answer(Array(body.utf8), from: "the service") else {
            Issue.record("loading the credentials did not fail")
            return
        }
        #expect(why.contains("the service"))
        #expect(!why.contains("hush"))
    }
}

@Suite struct ContainerCredentialsTests {
    @Test func areFetchedFromTheRelativeURI() async throws {
        try await StandIn.with(whole: { _, _ in .answer(200, [:], document) }) { server in
            let source = ContainerCredentials(
                environment: ["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials/7"], service: service(),
                relativeBase: server.url)
            #expect(await source.load() == documented)
            #expect(server.requests.map(\.path) == ["/v2/credentials/7"])
            #expect(server.requests[0].header("Authorization") == nil)
        }
    }

    @Test func tokenFileTakesPrecedenceOverTheTokenVariable() async throws {
        let directory = try TemporaryDirectory()
        let path = try directory.write("file-token\n", to: "token")
        try await StandIn.with(whole: { _, _ in .answer(200, [:], document) }) { server in
            var environment = [
                "AWS_CONTAINER_CREDENTIALS_FULL_URI": server.url + "/creds",
                "AWS_CONTAINER_AUTHORIZATION_TOKEN": "plain",
            ]
            #expect(
                await ContainerCredentials(environment: environment, service: service()).load()
                    == documented)
            environment["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] = path
            _ = await ContainerCredentials(environment: environment, service: service()).load()
            #expect(server.requests.map { $0.header("Authorization") } == ["plain", "file-token"])
        }
    }

    @Test func containerCredentialsAreRetriedAfterAServerError() async throws {
        try await StandIn.with(whole: { _, n in n < 3 ? .answer(500) : .answer(200, [:], document) }) { server in
            let environment = ["AWS_CONTAINER_CREDENTIALS_FULL_URI": server.url]
            let source = ContainerCredentials(environment: environment, service: service())
            #expect(await source.load() == documented)
            #expect(server.requests.count == 3)
        }
    }

    @Test func failWhenTheContainerEndpointFails() async throws {
        for reaction in [Reaction.answer(403), .answer(302, ["Location": "http://127.0.0.1:1/"]), .answer(500), .cut] {
            try await StandIn.with(whole: { _, _ in reaction }) { server in
                let environment = ["AWS_CONTAINER_CREDENTIALS_FULL_URI": server.url]
                guard case .failed = await ContainerCredentials(environment: environment, service: service()).load()
                else {
                    Issue.record("loading the credentials did not fail: \(reaction)")
                    return
                }
                #expect(server.requests.count <= 3)
            }
        }
    }

    @Test(arguments: [
        "https://example.com/x", "http://127.0.0.1:99/x", "http://127.8.9.1/x", "http://localhost/x",
        "http://[::1]:99/x",
        "http://169.254.170.2/x", "http://169.254.170.23/v1/credentials", "http://[fd00:ec2::23]/v1/credentials",
    ])
    func mayBeAt(_ uri: String) throws {
        let source = ContainerCredentials(
            environment: ["AWS_CONTAINER_CREDENTIALS_FULL_URI": uri], service: service())
        #expect(try source.endpoint().get() == uri)
    }

    @Test(arguments: [
        ("FULL", "http://example.com/x"), ("FULL", "http://127.0.0.1.example.com/"), ("FULL", "http://127.1/"),
        ("FULL", "http://169.254.169.254/"), ("FULL", "ftp://127.0.0.1/"), ("FULL", "http://127.0.0.1@example.com/"),
        ("FULL", "http://user@127.0.0.1/"), ("FULL", "/x"), ("FULL", "https://"), ("RELATIVE", "@example.com/"),
        ("RELATIVE", "x"),
    ])
    func mayNotBeAt(kind: String, uri: String) {
        let source = ContainerCredentials(
            environment: ["AWS_CONTAINER_CREDENTIALS_\(kind)_URI": uri], service: service())
        #expect(throws: CredentialsError.self) { try source.endpoint().get() }
    }

    @Test func containerCredentialsAreAbsentOutsideContainers() async {
        guard case .absent = await ContainerCredentials(environment: [:], service: service()).load() else {
            Issue.record("the credentials are not absent")
            return
        }
    }

    @Test func rejectAuthorizationTokenWithALineBreak() async throws {
        let environment = [
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:1/",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": "hush\r\nX: y",
        ]
        guard case .failed(let why) = await ContainerCredentials(environment: environment, service: service()).load()
        else {
            Issue.record("loading the credentials did not fail")
            return
        }
        #expect(why.contains("token"))
        #expect(!why.contains("hush"))
    }
}

@Suite struct InstanceCredentialsTests {
    private static let rolePath = "/latest/meta-data/iam/security-credentials/"

    /// Version 2 of the metadata service: without the session's token, it refuses requests.
    @Sendable private static func metadata(_ request: Received, _: Int) -> Reaction {
        if request.method == "PUT", request.path == "/latest/api/token" {
            return request.header("X-aws-ec2-metadata-token-ttl-seconds") == nil
                ? .answer(400) : .answer(200, [:], "session==")
        }
        guard request.header("X-aws-ec2-metadata-token") == "session==" else { return .answer(401) }
        switch request.path {
        case rolePath: return .answer(200, [:], "relay-role\n")
        case rolePath + "relay-role": return .answer(200, [:], document)
        default: return .answer(404)
        }
    }

    private func load(_ server: StandIn, _ more: [String: String] = [:]) async -> SourceAnswer {
        let environment = ["AWS_EC2_METADATA_SERVICE_ENDPOINT": server.url + "/"].merging(more) { $1 }
        return await InstanceCredentials(environment: environment, service: service()).load()
    }

    @Test func areFetchedWithASessionToken() async throws {
        try await StandIn.with(whole: InstanceCredentialsTests.metadata) { server in
            #expect(await load(server) == documented)
            #expect(server.requests.map(\.method) == ["PUT", "GET", "GET"])
        }
    }

    @Test func failedMetadataRequestsAreRetried() async throws {
        try await StandIn.with(whole: { request, n in
            n % 2 == 1 ? .cut : InstanceCredentialsTests.metadata(request, n)
        }) { server in
            #expect(await load(server) == documented)
            #expect(server.requests.count == 6)
        }
    }

    @Test func areAbsentWithoutRoleOrService() async throws {
        for (path, reaction, word) in [
            ("/latest/api/token", Reaction.answer(403), "403"),
            (InstanceCredentialsTests.rolePath, .answer(404), "attach"),
            (InstanceCredentialsTests.rolePath, .answer(200, [:], ""), "attach"),
            (InstanceCredentialsTests.rolePath, .answer(200, [:], "../../x"), "no role"),
        ] {
            try await StandIn.with(whole: { request, n in
                request.path == path ? reaction : InstanceCredentialsTests.metadata(request, n)
            }) { server in
                guard case .absent(let why) = await load(server) else {
                    Issue.record("the credentials are not absent: \(path)")
                    return
                }
                #expect(why.contains(word))
            }
        }
        let stopped = try await StandIn.start(whole: { _, _ in .cut })
        await stopped.stop()
        guard case .absent = await load(stopped) else {
            Issue.record("the credentials are not absent")
            return
        }
    }

    @Test func failWhenTheRoleHasNoCredentials() async throws {
        try await StandIn.with(whole: { request, n in
            request.path.hasSuffix("relay-role") ? .answer(404) : InstanceCredentialsTests.metadata(request, n)
        }) { server in
            guard case .failed = await load(server) else {
                Issue.record("loading the credentials did not fail")
                return
            }
        }
    }

    @Test func canBeSwitchedOff() async throws {
        try await StandIn.with(whole: InstanceCredentialsTests.metadata) { server in
            guard case .absent(let why) = await load(server, ["AWS_EC2_METADATA_DISABLED": "TRUE"]) else {
                Issue.record("the credentials are not absent")
                return
            }
            #expect(why.contains("AWS_EC2_METADATA_DISABLED"))
            #expect(server.requests.isEmpty)
        }
    }
}
