import RelayCore
import Testing

@testable import Admission
@testable import HTTPServer

@Suite struct RateLimitFieldsTests {
    /// 18:00 UTC.
    private let now = Timestamp(milliseconds: 1_764_352_800_000)

    @Test(
        arguments: [
            // per second, burst, available; policy, limit
            (10, nil, 10, #""second";q=10;w=1"#, #""second";r=10;t=0"#),
            (10, nil, 9.5, #""second";q=10;w=1"#, #""second";r=9;t=1"#),
            (10, nil, 0.5, #""second";q=10;w=1"#, #""second";r=0;t=1"#),
            (10, nil, -20, #""second";q=10;w=1"#, #""second";r=0;t=3"#),
            (10, 50, 50, #""second";q=10;w=1"#, #""second";r=50;t=0"#),
            (0.5, nil, 1, #""second";q=1;w=2"#, #""second";r=1;t=0"#),
            (0.3, nil, 0, #""second";q=1;w=4"#, #""second";r=0;t=4"#),
            (2.5, nil, 2.5, #""second";q=2;w=1"#, #""second";r=2;t=0"#),
        ] as [(Double, Int?, Double, String, String)])
    func aRate(_ perSecond: Double, _ burst: Int?, _ available: Double, _ policy: String, _ limit: String) {
        let standing = Admission.RateStanding(
            limits: SendingLimits(perSecond: perSecond, burst: burst), available: available)
        let fields = RateLimitFields(standing, usedToday: nil, at: now)
        #expect(fields.policy == policy && fields.limit == limit)
    }

    @Test func dailyCapAppearsInRateLimitFields() {
        let standing = Admission.RateStanding(limits: SendingLimits(perSecond: 10, perDay: 100), available: 10)
        let fields = RateLimitFields(standing, usedToday: 40, at: now)
        #expect(fields.policy == #""second";q=10;w=1, "day";q=100;w=86400"#)
        #expect(fields.limit == #""second";r=10;t=0, "day";r=60;t=21600"#)
        // A daily cap may be lowered below the number of emails that were already sent.
        #expect(RateLimitFields(standing, usedToday: 140, at: now).limit.hasSuffix(#""day";r=0;t=21600"#))
    }
}
