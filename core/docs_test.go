package core_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestDocComments: every exported name has a comment that begins with the name. A
// method that an interface explains (see promised) needs none, and a comment that says
// no more than "X implements Y" is none.
func TestDocComments(t *testing.T) {
	names, in := 0, newInterfaces(t)
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			switch d.Name() {
			case "testdata", "node_modules", ".git", "examples", "interop":
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		explained := in.promised(filepath.Dir(path))
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Recv != nil && emptyComment.MatchString(d.Doc.Text()) && plain(path) {
					t.Errorf("%s: the comment of %s says no more than a line var _ Interface = T{} would", path, d.Name.Name)
				}
				if d.Recv != nil && d.Doc == nil && explained.explains(typeName(d.Recv.List[0].Type), d.Name.Name) {
					continue
				}
				if d.Name.IsExported() && (d.Recv == nil || exportedType(d.Recv.List[0].Type)) {
					names++
					wantDoc(t, path, d.Name.Name, d.Doc)
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					switch spec := spec.(type) {
					case *ast.TypeSpec:
						if spec.Name.IsExported() {
							names++
							wantDoc(t, path, spec.Name.Name, first(spec.Doc, d.Doc))
						}
					case *ast.ValueSpec: // a group may be explained as one
						for _, name := range spec.Names {
							if name.IsExported() && first(spec.Doc, spec.Comment, d.Doc) == nil {
								t.Errorf("%s: %s has no doc comment", path, name.Name)
							}
						}
					}
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if names < 300 {
		t.Errorf("only %d names were looked at", names)
	}
}

// emptyComment is a comment that only names the interface.
var emptyComment = regexp.MustCompile(`^\w+ implements [\w.]+\.\s*$`)

// plain reports whether a file is in a package from which such comments are gone.
func plain(path string) bool {
	for _, dir := range []string{"doctor", "core/acl", "core/mixin", "core/typescript", "core/host", "sessionbridge", "adapters"} {
		if strings.HasPrefix(filepath.ToSlash(path), "../"+dir+"/") {
			return true
		}
	}
	return false
}

func first(groups ...*ast.CommentGroup) *ast.CommentGroup {
	for _, g := range groups {
		if g != nil {
			return g
		}
	}
	return nil
}

func wantDoc(t *testing.T, path, name string, doc *ast.CommentGroup) {
	t.Helper()
	if text := doc.Text(); !strings.HasPrefix(text, name+" ") && !strings.HasPrefix(text, "Deprecated:") {
		t.Errorf("%s: the comment of %s does not begin with its name: %q", path, name, strings.SplitN(text, "\n", 2)[0])
	}
}

// exportedType reports whether a receiver's type is exported.
func exportedType(e ast.Expr) bool {
	for {
		switch x := e.(type) {
		case *ast.StarExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.IndexListExpr:
			e = x.X
		case *ast.Ident:
			return x.IsExported()
		default:
			return false
		}
	}
}

// needModules skips a test that reads files of the nested modules: whoever has only the
// root module has them not.
func needModules(t *testing.T) {
	t.Helper()
	if _, err := os.Stat("../adapters/gin/go.mod"); err != nil {
		t.Skip("the adapters are modules of their own and not here")
	}
}

// TestGeventGuide: every row of the migration guide has a link, to a test or
// example that is there.
func TestGeventGuide(t *testing.T) {
	guide, err := os.ReadFile("../docs/from-gevent-socketio.md")
	if err != nil {
		t.Fatal(err)
	}
	needModules(t)
	link := regexp.MustCompile(`\[((?:Test|Example)\w*)\]\(\.\./([^)]+)\)`)
	rows := 0
	for _, line := range strings.Split(string(guide), "\n") {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| theirs") || strings.HasPrefix(line, "| ---") {
			continue
		}
		rows++
		links := link.FindAllStringSubmatch(line, -1)
		if len(links) == 0 {
			t.Errorf("a row without a link: %s", line)
		}
		for _, l := range links {
			src, err := os.ReadFile(filepath.Join("..", l[2]))
			if err != nil || !strings.Contains(string(src), "\nfunc "+l[1]+"(") {
				t.Errorf("%s: no func %s (%v)", l[2], l[1], err)
			}
		}
	}
	if rows < 90 {
		t.Errorf("%d rows", rows)
	}
	// The names that applications of gevent-socketio and its relatives use.
	for _, name := range strings.Fields(`socketio_manage environ namespaces request error_handler json_loads json_dumps session ns_name
		allowed_methods jobs is_method_allowed add_acl_method del_acl_method lift_acl_restrictions get_initial_acl reset_acl
		process_packet process_event call_method_with_acl call_method initialize recv_message recv_json recv_disconnect
		recv_connect recv_error error send emit spawn disconnect kill_local_jobs exception_handler_decorator
		unallowed_event_name method_access_denied no_such_method invalid_method_args invalid_packet no_such_namespace
		RoomsMixin join leave emit_to_room BroadcastMixin broadcast_event broadcast_event_not_me GLOBAL_NS sessid client_queue
		server_queue hits heartbeats timeout state connection_established ack_callbacks ack_counter active_ns connected incr_hits
		heartbeat kill detach put_server_msg put_client_msg get_client_msg get_server_msg get_multiple_client_msgs
		remove_namespace send_packet _receiver_loop _watcher _heartbeat _heartbeat_timeout resource transports policy_server
		policy_listener heartbeat_interval heartbeat_timeout close_timeout handler_class ws_handler_class log_file get_socket
		sockets serve serve_paste autodiscover on_open on_message on_close protocol routes enabled_protocols socket_io_port
		flash_policy_file flash_policy_port SocketIOServer on_connect recv broadcast session_id`) {
		if !regexp.MustCompile(`\b` + name + `\b`).Match(guide) {
			t.Errorf("the guide does not mention %s", name)
		}
	}
}

var testName = regexp.MustCompile(`^(?:Test|Example)\w*$`)

// TestCommandsAndLinks: what README and the guides tell to run is there, and so is
// what they point at. A command with @latest needs a module that says nothing about
// replacements, and lies in the root module.
func TestCommandsAndLinks(t *testing.T) {
	needModules(t)
	pages, _ := filepath.Glob("../docs/*.md")
	pages = append(pages, "../README.md", "../CONTRIBUTING.md", "../conformance/README.md")
	commands, links := 0, 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`go run (\./|github\.com/siokit/siokit/)([\w/-]+)(@latest)?`).FindAllStringSubmatch(string(text), -1) {
			commands++
			if src, err := filepath.Glob(filepath.Join("..", m[2], "*.go")); err != nil || len(src) == 0 {
				t.Errorf("%s: %s: there is no such program", page, m[0])
			}
			if (m[1] == "./") == (m[3] != "") {
				t.Errorf("%s: %s: a folder takes no version, and a module path needs one", page, m[0])
			}
			if _, err := os.Stat(filepath.Join("..", m[2], "../go.mod")); m[3] != "" && err == nil {
				t.Errorf("%s: %s is in a module of its own", page, m[0])
			}
		}
		prose := regexp.MustCompile("(?s)```.*?```|`[^`\n]*`").ReplaceAll(text, nil)
		for _, m := range regexp.MustCompile(`\[([^]]*)\]\(([^)#:]+)(?:#[^)]*)?\)`).FindAllStringSubmatch(string(prose), -1) {
			links++
			src, err := os.ReadFile(filepath.Join(filepath.Dir(page), m[2]))
			if err != nil {
				t.Errorf("%s points at %s: %v", page, m[2], err)
			}
			if fn := testName.FindString(m[1]); fn != "" && !strings.Contains(string(src), "\nfunc "+fn+"(") {
				t.Errorf("%s: %s: no func %s", page, m[2], fn)
			}
		}
	}
	if commands < 8 || links < 20 {
		t.Errorf("only %d commands and %d links were looked at", commands, links)
	}
	if mod, err := os.ReadFile("../go.mod"); err != nil || strings.Contains(string(mod), "replace") {
		t.Errorf("the root module has replacements: go run ...@latest refuses it (%v)", err)
	}
}

// TestArchitecture: the functions in the tables of docs/architecture.md are in the
// files that the page names, and those of the picture are in the tables.
func TestArchitecture(t *testing.T) {
	page, err := os.ReadFile("../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	functions, inTables := 0, map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| \\d'? \\| `([^`]+)` \\| ([^|]+) \\|").FindAllStringSubmatch(string(page), -1) {
		src, err := os.ReadFile(filepath.Join("..", m[1]))
		if err != nil {
			t.Error(err)
			continue
		}
		for _, fn := range regexp.MustCompile(`\w+`).FindAllString(m[2], -1) {
			functions++
			inTables[fn] = true
			if !regexp.MustCompile(`(?m)^func (\([^)]*\) )?` + fn + `[(\[]`).Match(src) {
				t.Errorf("docs/architecture.md: %s has no function %s", m[1], fn)
			}
		}
	}
	if functions < 25 {
		t.Errorf("only %d functions were looked for", functions)
	}
	drawn := regexp.MustCompile(`\b(\w+)\(\)`).FindAllStringSubmatch(string(page), -1)
	if len(drawn) < 15 {
		t.Errorf("only %d functions are in the picture", len(drawn))
	}
	for _, m := range drawn {
		if !inTables[m[1]] {
			t.Errorf("docs/architecture.md: %s is in the picture and in none of the tables", m[1])
		}
	}
}

// TestMarkdownWidth: a line of Markdown has at most 100 characters, so that a diff can
// be read. Tables, code, and lines of a single word (a long link) are exempt.
func TestMarkdownWidth(t *testing.T) {
	pages := 0
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			switch d.Name() {
			case "testdata", "node_modules", ".git":
				return filepath.SkipDir
			}
			return nil
		}
		if filepath.Ext(path) != ".md" {
			return nil
		}
		pages++
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, n := range wideLines(string(text)) {
			t.Errorf("%s:%d: more than 100 characters in a line", path, n)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if pages < 10 {
		t.Errorf("only %d pages were looked at", pages)
	}
	got := wideLines(strings.Repeat("word ", 21) + "\n```\n" + strings.Repeat("code ", 21) + "\n```\n| " + strings.Repeat("cell ", 21) + "\n\n- " + strings.Repeat("item ", 21))
	if !slices.Equal(got, []int{1, 7}) {
		t.Errorf("lines %v are too wide, of the first and the seventh", got)
	}
}

// wideLines returns the numbers of the lines that are too wide.
func wideLines(text string) (numbers []int) {
	code := false
	for i, line := range strings.Split(text, "\n") {
		trimmed := strings.TrimSpace(line)
		if strings.HasPrefix(trimmed, "```") {
			code = !code
		}
		if code || strings.HasPrefix(trimmed, "|") || strings.HasPrefix(line, "    ") || !strings.Contains(trimmed, " ") {
			continue
		}
		if utf8.RuneCountInString(line) > 100 {
			numbers = append(numbers, i+1)
		}
	}
	return numbers
}
