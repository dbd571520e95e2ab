import AWSTestSupport
import Foundation
import Logging
import RelayCore
import Synchronization
import TestSupport
import Testing

@testable import AWSClient

@Suite struct AWSCredentialsTests {
    @Test func descriptionsRevealNoSecret() throws {
        let credentials = try AWSCredentials.example(token: "tokentokentoken")
        var dumped = ""
        dump(credentials, to: &dumped)
        for text in ["\(credentials)", String(reflecting: credentials), dumped] {
            #expect(!text.contains("wJalr"))
            #expect(!text.contains("tokentoken"))
        }
    }

    @Test(
        arguments: [
            ("", "s", nil), ("a", "", nil), ("a b", "s", nil), ("a", "s\r\nX: y", nil), ("a", "s", "t\n"),
            ("ä", "s", nil),
            ("a/b", "s", nil),
        ] as [(String, String, String?)])
    func refuseWhatNoCredentialIs(id: String, secret: String, token: String?) {
        #expect(AWSCredentials(accessKeyID: id, secretAccessKey: secret, sessionToken: token) == nil)
    }

    @Test func emptySessionTokenCountsAsNoToken() throws {
        let credentials = try AWSCredentials.example(token: "")
        #expect(credentials == (try .example()))
    }
}

@Suite struct FileCredentialsTests {
    private static let text = """
        \u{FEFF}# the relay's
        [default]
        aws_access_key_id = AKIADEFAULT
        AWS_SECRET_ACCESS_KEY=se/cr=et+
        ; between
        [ other ]\r
          aws_access_key_id=AKIAOTHER\r
        aws_secret_access_key =\tsecret\r
        aws_session_token = token==\r
        s3 =
          max_concurrent_requests = 20
        [half]
        aws_access_key_id = AKIAHALF
        [role]
        role_arn = arn:aws:iam::123456789012:role/x
        source_profile = default
        [empty]
        region = eu-west-1
        [blank]
        aws_access_key_id = AKIA BLANK
        aws_secret_access_key = x
        [unclosed
        aws_access_key_id = AKIAUNCLOSED
        [default]
        region = eu-west-1
        """

    private func answer(_ profile: String, isRequired: Bool = false) throws -> SourceAnswer {
        let directory = try TemporaryDirectory()
        let path = try directory.write(FileCredentialsTests.text, to: "credentials")
        return FileCredentials(path: path, profile: profile, isRequired: isRequired).load()
    }

    @Test func readsProfiles() throws {
        let first = try #require(AWSCredentials(accessKeyID: "AKIADEFAULT", secretAccessKey: "se/cr=et+"))
        #expect(try answer("default") == .found(first))
        let second = AWSCredentials(accessKeyID: "AKIAOTHER", secretAccessKey: "secret", sessionToken: "token==")
        #expect(try answer("other") == .found(#require(second)))
    }

    @Test func explainsWhatIsMissing() throws {
        for (profile, word) in [
            ("half", "aws_secret_access_key"), ("role", "role_arn"), ("blank", "character"),
        ] {
            guard case .failed(let why) = try answer(profile) else {
                Issue.record("\(profile) did not fail")
                continue
            }
            #expect(why.contains(word))
            #expect(why.contains("[\(profile)]"))
            #expect(!why.contains("AKIA"))
        }
        for profile in ["nobody", "empty", "unclosed"] {
            guard case .absent = try answer(profile) else {
                Issue.record("\(profile) is not absent")
                continue
            }
            guard case .failed = try answer(profile, isRequired: true) else {
                Issue.record("\(profile) did not fail although it is required")
                continue
            }
        }
    }

    @Test func rejectsMissingIrregularAndOversizedFiles() throws {
        let directory = try TemporaryDirectory()
        let long = try directory.write(String(repeating: "#", count: FileCredentials.sizeLimit + 1), to: "long")
        for (path, word) in [(directory.path, "regular"), (long, "longer"), (directory.path + "/none", "No such file")]
        {
            guard case .failed(let why) = FileCredentials(path: path, profile: "default", isRequired: true).load()
            else {
                Issue.record("\(path) did not fail")
                continue
            }
            #expect(why.contains(word))
        }
    }
}

@Suite struct EnvironmentCredentialsTests {
    @Test func readsTheEnvironmentGiven() throws {
        let environment = [
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        ]
        #expect(try EnvironmentCredentials(environment: environment).load() == .found(.example()))
        let temporary = environment.merging(["AWS_SESSION_TOKEN": "t"]) { $1 }
        #expect(try EnvironmentCredentials(environment: temporary).load() == .found(.example(token: "t")))
    }

    @Test(arguments: [
        ["AWS_ACCESS_KEY_ID": "a"], ["AWS_SECRET_ACCESS_KEY": "b"],
        ["AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "topsecret\n"],
    ])
    func refusesHalfOfThem(_ environment: [String: String]) {
        guard case .failed(let why) = EnvironmentCredentials(environment: environment).load() else {
            Issue.record("incomplete credentials were accepted")
            return
        }
        #expect(why.contains("AWS_"))
        #expect(!why.contains("topsecret"))
    }

    @Test func isAbsentWithoutTheEnvironmentVariables() {
        for environment in [[:], ["AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""]] {
            guard case .absent = EnvironmentCredentials(environment: environment).load() else {
                Issue.record("the credentials are not absent")
                continue
            }
        }
    }
}

/// A source that gives the test's answers in order. It repeats the last one.
private final class Script: CredentialsSource {
    let name = "script"
    private let answers: Mutex<[SourceAnswer]>
    private let count = Mutex(0)
    private let gate: Gate?
    private let started = Gate()

    init(_ answers: [SourceAnswer], gate: Gate? = nil) {
        self.answers = Mutex(answers)
        self.gate = gate
    }

    var loads: Int { count.withLock { $0 } }

    func hasStarted() async { await started.passed() }

    func load() async -> SourceAnswer {
        count.withLock { $0 += 1 }
        await started.open()
        await gate?.passed()
        return answers.withLock { $0.count > 1 ? $0.removeFirst() : $0[0] }
    }
}

@Suite struct CredentialsChainTests {
    private let clock = ManualClock.forCalls()
    private let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    private func chain(_ sources: any CredentialsSource...) -> CredentialsChain {
        CredentialsChain(sources: sources, clock: clock, logger: logger)
    }

    private func temporary(_ id: String, for time: Duration) throws -> AWSCredentials {
        try .example(id, token: "t", expiresAt: clock.now() + time)
    }

    @Test func asksInOrderAndStopsAtTheFirst() async throws {
        let last = Script([.found(try .example("AKIALAST"))])
        let chain = chain(Script([.absent("not here")]), Script([.found(try .example("AKIAFIRST"))]), last)
        #expect(try await chain.credentials().accessKeyID == "AKIAFIRST")
        #expect(last.loads == 0)
    }

    @Test func doesNotGoOnPastABrokenSource() async throws {
        let chain = chain(Script([.failed("half a key")]), Script([.found(try .example())]))
        await #expect {
            try await chain.credentials()
        } throws: { error in
            "\(error)".contains("half a key")
        }
    }

    @Test func errorNamesEverySourceWithoutCredentials() async throws {
        let chain = chain(Script([.absent("not here")]), Script([.absent("nor here")]))
        await #expect {
            try await chain.credentials()
        } throws: { error in
            "\(error)".mentions("not here", "nor here")
        }
    }

    @Test func permanentCredentialsAreLoadedOnce() async throws {
        let source = Script([.found(try .example())])
        let chain = chain(source)
        for _ in 0..<3 {
            _ = try await chain.credentials()
            clock.advance(.seconds(86_400))
        }
        #expect(source.loads == 1)
    }

    @Test func refreshesFiveMinutesAhead() async throws {
        let source = Script([
            .found(try temporary("AKIAOLD", for: .seconds(3600))),
            .found(try temporary("AKIANEW", for: .seconds(7200))),
        ])
        let chain = chain(source)
        #expect(try await chain.credentials().accessKeyID == "AKIAOLD")
        clock.advance(.seconds(3299))
        #expect(try await chain.credentials().accessKeyID == "AKIAOLD")
        clock.advance(.seconds(1))
        #expect(try await chain.credentials().accessKeyID == "AKIANEW")
        #expect(source.loads == 2)
    }

    @Test func keepsOldCredentialsUntilExpiryWhenARefreshFails() async throws {
        let source = Script([.found(try temporary("AKIAOLD", for: .seconds(3600))), .failed("down")])
        let chain = chain(source)
        _ = try await chain.credentials()
        clock.advance(.seconds(3400))
        #expect(try await chain.credentials().accessKeyID == "AKIAOLD")
        #expect(source.loads == 2)
        // The source is not asked again for each message.
        #expect(try await chain.credentials().accessKeyID == "AKIAOLD")
        #expect(source.loads == 2)
        clock.advance(.seconds(10))
        #expect(try await chain.credentials().accessKeyID == "AKIAOLD")
        #expect(source.loads == 3)
        clock.advance(.seconds(190))
        await #expect {
            try await chain.credentials()
        } throws: { error in
            "\(error)".contains("down")
        }
    }

    @Test func rejectsExpiredCredentials() async throws {
        let chain = chain(Script([.found(try temporary("AKIAOLD", for: .seconds(-1)))]))
        await #expect(throws: CredentialsError.self) { try await chain.credentials() }
    }

    @Test func reloadsCredentialsAfterTheyWereRefused() async throws {
        let source = Script([.found(try .example("AKIAOLD")), .found(try .example("AKIANEW"))])
        let chain = chain(source)
        let old = try await chain.credentials()
        await chain.refused(old)
        #expect(try await chain.credentials().accessKeyID == "AKIANEW")
        // Another request with the old credentials was refused, too.
        await chain.refused(old)
        _ = try await chain.credentials()
        #expect(source.loads == 2)
    }

    @Test func concurrentCallersShareOneFetch() async throws {
        let gate = Gate()
        let source = Script([.found(try .example())], gate: gate)
        let chain = chain(source)
        let ids = try await withThrowingTaskGroup(of: String.self) { group in
            for _ in 0..<20 { group.addTask { try await chain.credentials().accessKeyID } }
            await source.hasStarted()
            await gate.open()
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(ids == Array(repeating: "AKIDEXAMPLE", count: 20))
        #expect(source.loads == 1)
    }

    @Test func cancellingAWaiterDoesNotCancelTheFetch() async throws {
        let gate = Gate()
        let source = Script([.found(try .example())], gate: gate)
        let chain = chain(source)
        let waiter = Task { try await chain.credentials() }
        await source.hasStarted()
        waiter.cancel()
        // The cancelled call ends although the source has not answered yet.
        await #expect(throws: CredentialsError.self) { try await waiter.value }
        await gate.open()
        #expect(try await chain.credentials().accessKeyID == "AKIDEXAMPLE")
        #expect(source.loads == 1)
    }

    @Test func readsAFileAgainWhenItChanges() async throws {
        let directory = try TemporaryDirectory()
        let file = { (id: String) in "[default]\naws_access_key_id = \(id)\naws_secret_access_key = x\n" }
        let path = try directory.write(file("AKIAONE"), to: "credentials")
        let chain = CredentialsChain(environment: [:], credentialsFile: path, clock: clock, logger: logger)
        #expect(try await chain.credentials().accessKeyID == "AKIAONE")
        try directory.write(file("AKIATWO"), to: "credentials")
        #expect(try await chain.credentials().accessKeyID == "AKIATWO")
        // The file is half written. The chain continues to use the old credentials.
        try directory.write("[default]\naws_access_key_id = AKIATHREE\n", to: "credentials")
        #expect(try await chain.credentials().accessKeyID == "AKIATWO")
        try directory.write(file("AKIATHREE"), to: "credentials")
        #expect(try await chain.credentials().accessKeyID == "AKIATHREE")
    }
}

@Suite struct StandardSourcesTests {
    private func names(
        _ environment: [String: String], file: String? = nil, profile: String? = nil
    ) -> [String] {
        CredentialsChain.fileSources(environment, credentialsFile: file, profile: profile).map(\.name)
    }

    @Test func standardSourcesFollowTheOrderOfAWS() {
        #expect(names([:]) == ["environment"])
        #expect(names(["HOME": "/h"]) == ["environment", "file /h/.aws/credentials (profile default)"])
        let environment = [
            "HOME": "/h", "AWS_SHARED_CREDENTIALS_FILE": "~/c", "AWS_PROFILE": "p", "CREDENTIALS_DIRECTORY": "/run/c",
        ]
        #expect(
            names(environment) == ["environment", "file /h/c (profile p)", "file /run/c/aws-credentials (profile p)"])
        #expect(
            names(environment, file: "/etc/x", profile: "q")
                == ["environment", "file /etc/x (profile q)", "file /run/c/aws-credentials (profile q)"])
        #expect(names(["HOME": "/h", "AWS_PROFILE": ""])[1] == "file /h/.aws/credentials (profile default)")
    }

    @Test func includeTheSystemdCredential() async throws {
        let directory = try TemporaryDirectory()
        try directory.write(
            "[default]\naws_access_key_id = AKIASYSTEMD\naws_secret_access_key = x\n", to: "aws-credentials")
        let chain = CredentialsChain(
            environment: ["CREDENTIALS_DIRECTORY": directory.path],
            clock: ManualClock.forCalls(),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        #expect(try await chain.credentials().accessKeyID == "AKIASYSTEMD")
    }

    @Test func missingConfiguredCredentialsFileIsAnError() async throws {
        let directory = try TemporaryDirectory()
        let chain = CredentialsChain(
            environment: [:], credentialsFile: directory.path + "/none",
            clock: ManualClock.forCalls(),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        await #expect {
            try await chain.credentials()
        } throws: { error in
            "\(error)".mentions("/none", "No such file")
        }
    }
}
