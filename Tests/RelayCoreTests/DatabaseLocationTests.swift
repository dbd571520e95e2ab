import RelayCore
import Testing

@Suite struct DatabaseLocationTests {
    /// The URIs of PostgreSQL's manual (section "Connection URIs"), and the description of each place.
    @Test(arguments: [
        ("postgresql://", "postgresql://"),
        ("postgres://localhost", "postgresql://localhost"),
        ("postgresql://localhost:5433", "postgresql://localhost:5433"),
        ("postgresql://localhost/mydb", "postgresql://localhost/mydb"),
        ("postgresql://user@localhost", "postgresql://user@localhost"),
        ("postgresql://user:secret@localhost", "postgresql://user@localhost"),
        (
            "postgresql://other@localhost/otherdb?connect_timeout=10&application_name=myapp",
            "postgresql://other@localhost/otherdb"
        ),
        (
            "postgresql://host1:123,host2:456/somedb?target_session_attrs=primary&application_name=myapp",
            "postgresql://host1:123,host2:456/somedb?target_session_attrs=primary"
        ),
        (
            "postgresql://user@localhost:5433/mydb?options=-c%20synchronous_commit%3Doff",
            "postgresql://user@localhost:5433/mydb"
        ),
        ("postgresql:///mydb?host=localhost&port=5433", "postgresql:///mydb?host=localhost&port=5433"),
        ("postgresql://[2001:db8::1234]/database", "postgresql://[2001:db8::1234]/database"),
        ("postgresql://%2Fvar%2Flib%2Fpostgresql/dbname", "postgresql://%2Fvar%2Flib%2Fpostgresql/dbname"),
        ("postgresql://a:,b,[::1]:1/d", "postgresql://a:,b,[::1]:1/d"),
        ("postgresql://host?dbname=d", "postgresql://host?dbname=d"),
    ])
    func `Where a database is, is told without parameters of other kinds`(uri: String, told: String) throws {
        let place = try PostgreSQLPlace(uri)
        #expect(place.uri == uri)
        #expect(place.description == told)
    }

    @Test(arguments: [
        "postgresql://relay:SECRET@db.example.com/relay", "postgresql://relay:SECRET%40%2F@db.example.com/relay",
        "postgresql://relay:SECRET?x@db.example.com/relay", "postgresql://:SECRET@db.example.com",
        "postgresql://relay:%53ECRET:SECRET@db.example.com/relay",
        "postgresql://db.example.com/relay?user=relay&password=SECRET", "postgresql://db/relay?sslpassword=SECRET",
        "postgresql://db/relay?%70assword=SECRET", "postgresql://db/relay?oauth_client_secret=SECRET",
        "postgresql://db/relay?scram_client_key=SECRET", "postgresql://db/relay?password=a&password=SECRET",
    ])
    func `Nothing that describes a place repeats its password`(uri: String) throws {
        struct Holder { var location: DatabaseLocation }
        let place = try PostgreSQLPlace(uri)
        #expect(place.hasPassword && place.uri.contains("SECRET"))
        let location = DatabaseLocation.postgresql(place)
        var dumped = ""
        dump(Holder(location: location), to: &dumped)
        for text in [
            "\(place)", "\(location)", String(reflecting: place), String(reflecting: location),
            "\(Holder(location: location))", "\(Optional(place) as Any)", dumped,
        ] {
            #expect(!text.contains("SECRET"), "\(text)")
        }
    }

    @Test(arguments: [
        ("postgresql:/db/relay", "postgresql://"),
        ("mysql://db/relay", "postgresql://"),
        ("POSTGRESQL://db", "postgresql://"),
        ("postgresql://relay:SEC/RET@db/relay", "%2F"), ("postgresql://relay:SEC@RET@db/relay", "%40"),
        ("postgresql://relay:SEC/RET", "%2F"),
        ("postgresql://relay:SEC%RET@db/relay", "%25"), ("postgresql://relay:SEC%@db", "%25"),
        ("postgresql://relay:SEC%00RET@db", "%25"), ("postgresql://relay:SEC RET@db", "%20"),
        ("postgresql://relay:SEC\nRET@db", "control character"),
        ("postgresql://db:0/relay", "port"), ("postgresql://db:65536", "port"), ("postgresql://db:x", "port"),
        ("postgresql://[db]/relay", "IPv6"), ("postgresql://[::1/relay", "IPv6"), ("postgresql://[::1]x/relay", "IPv6"),
        ("postgresql://db/relay?password", "name=value"), ("postgresql://db/relay?password=SEC=RET", "name=value"),
        ("postgresql://db/relay?", ""), ("postgresql://db/relay?a=1&", "name=value"),
        ("postgresql://db/relay?target_session_attrs=any", "read-write"),
        ("postgresql://db/relay?client_encoding=LATIN1", "client_encoding"),
        ("postgresql://db/relay?replication=true", "replication"),
        ("postgresql://" + String(repeating: "a,", count: 16) + "a/relay", "16 hosts"),
        ("postgresql://db/" + String(repeating: "a", count: 4096), "4096 octets"),
    ])
    func `What is wrong with a URI is told without repeating it`(uri: String, problem: String) throws {
        guard !problem.isEmpty else {
            _ = try PostgreSQLPlace(uri)
            return
        }
        let error = #expect(throws: PostgreSQLPlace.ParseError.self) { try PostgreSQLPlace(uri) }
        #expect(error?.description.contains(problem) == true, "\(error?.description ?? "")")
        #expect(error?.description.contains("SEC") == false && error?.description.contains("RET") == false)
    }

    @Test func `A parameter is read with its percent-encoding undone, and of several the last`() throws {
        let place = try PostgreSQLPlace("postgresql://db/relay?passfile=/a&passfile=%2Fetc%2Fpg%20pass&sslmode=require")
        #expect(place.parameter("passfile") == "/etc/pg pass")
        #expect(place.parameter("sslmode") == "require")
        #expect(place.parameter("sslkey") == nil)
        #expect(!place.hasPassword)
    }

    @Test func `Only an SQLite database has a file`() throws {
        #expect(DatabaseLocation.sqlite("/var/lib/relay.db").file == "/var/lib/relay.db")
        #expect(DatabaseLocation.sqlite("/var/lib/relay.db").description == "/var/lib/relay.db")
        #expect(DatabaseLocation.postgresql(try PostgreSQLPlace("postgresql://db")).file == nil)
    }
}
