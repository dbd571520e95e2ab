import FuzzDriver
import TLSProperties

@main
enum Main {
    static func main() { fuzz([.tls]) }
}
