import FuzzDriver
import MailProperties

@main
enum Main {
    static func main() { fuzz([.data, .commands, .header, .from, .parts, .readable, .address, .compose, .sasl]) }
}
