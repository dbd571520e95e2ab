import Admission
import Domains
import HTTPTypes
import InternetMessage
import Listening
import Logging
import NIOOpenSSL
import RelayCore
import Resolver
import SQLiteStore
import StrictJSON
import TestSupport
import Testing

@testable import HTTPServer

/// Requests to send emails while the store keeps the rates for several relays.
@Suite struct SharedRatesTests {
    private struct Site {
        let rates: StubRates
        let directory: TemporaryDirectory
        let api: EmailAPI

        init(_ answer: @escaping @Sendable (StubRates.Question) -> StubRates.Answer) async throws {
            rates = StubRates(answer)
            let clock = ManualClock()
            let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
            directory = try TemporaryDirectory()
            let store = try SQLiteStore(path: directory.file("relay.db"), role: .relay, now: clock.now())
            let (secret, stored) = Sample.key(createdAt: clock.now()) { $0.limits = SendingLimits(perSecond: 20) }
            try await store.insertKey(stored)
            let admission = Admission(
                configuration: .init(
                    hostname: "relay.example.com", maximumMessageSize: 1 << 20, maximumRateDelay: .seconds(5),
                    preparation: PreparationPolicy()),
                store: StoreWithRates(store, rates: rates), clock: clock, logger: logger, observe: { _ in })
            let grant = try await admission.authenticate(
                userName: Array("apikey".utf8), password: Array(secret.revealed.utf8), client: Sample.client
            ).get()
            // The certificate's time is 2026-01-01. No client verifies the certificate.
            let identity = try TLSIdentity.selfSigned(hostnames: ["relay.example.com"], now: 1_767_225_600)
            let service = HTTPService(
                configuration: Current(
                    HTTPServerConfiguration(
                        maximumMessageSize: 1 << 20, maximumRecipients: 50, scratchDirectory: directory.path)),
                admission: admission, store: store,
                domains: SendingDomains(
                    live: UnconfiguredDomains(), test: UnconfiguredDomains(), resolver: DNSResolver(clock: clock)),
                clock: clock,
                tls: ReloadableTLSContext(try TLSServerContext(TLSConfiguration(identities: [identity]))),
                limiter: ConnectionLimiter(maximum: 10, maximumPerClient: 10), turns: LargeBodyTurns(capacity: 1),
                renderingTurns: LargeBodyTurns(capacity: 1),
                shutdown: ShutdownNotice(), timeouts: HTTPTimeouts(), logger: logger, observe: { _ in })
            api = EmailAPI(service, Caller(grant: grant, isSecure: true))
        }

        /// The answer to a request with these emails. Each number is the number of an email's recipients.
        func send(_ recipients: [Int], isBatch: Bool) async -> HTTPAnswer {
            let emails = recipients.map { count in
                let list = (0..<count).map { "\"r\($0)@example.net\"" }.joined(separator: ",")
                return #"{"from":"a@example.com","to":[\#(list)],"subject":"s","text":"t"}"#
            }
            let request = SubmissionRequest(
                isBatch: isBatch, api: api, configuration: api.service.configuration.value)
            let document = isBatch ? #"{"emails":[\#(emails.joined(separator: ","))]}"# : emails[0]
            return await request.completed(await request.answer(Array(document.utf8), [:]))
        }
    }

    @Test func anEmailIsSentOnceTheStoreAllowsIt() async throws {
        let site = try await Site { .success(SharedRateAnswer(answer: .go, taken: $0.most, aheadLasts: 0.2)) }
        let answer = await site.send([1], isBatch: false)
        #expect(answer.head.status.code == 200)
        #expect(site.rates.questions.map(\.emails) == [1] && site.rates.questions.map(\.most) == [2])
        #expect(site.rates.questions.map(\.maximumWait) == [0])
        // The relay took two of the second's twenty emails from the store. It used one and has one left.
        #expect(answer.head.headerFields[.rateLimit]?.hasPrefix("\"second\";r=19;") == true)
        #expect(await site.send([1], isBatch: false).head.status.code == 200)
        #expect(site.rates.questions.count == 1, "the second email needs no query: the slice had one left")
    }

    @Test func batchMakesOneRateQuery() async throws {
        let site = try await Site { .success(SharedRateAnswer(answer: .go, taken: $0.most, aheadLasts: 0.2)) }
        #expect(await site.send([3, 4], isBatch: true).head.status.code == 200)
        #expect(site.rates.questions.map(\.emails) == [7])
        #expect(site.rates.givenBack == [])
    }

    @Test(
        arguments: [
            (.success(SharedRateAnswer(answer: .refuse(seconds: 3), taken: 0, aheadLasts: 0.2)), 429),
            (.failure(StoreError.unavailable("down")), 503),
        ] as [(StubRates.Answer, Int)], [true, false])
    func whatTheStoreDoesNotAllowIsRefused(answer: (StubRates.Answer, status: Int), isBatch: Bool) async throws {
        let site = try await Site { _ in answer.0 }
        let told = await site.send([1], isBatch: isBatch)
        #expect(told.head.status.code == answer.status)
        if answer.status == 429 {
            #expect(told.head.headerFields[.rateLimit]?.hasPrefix("\"second\";r=0;t=3") == true)
        }
    }
}
