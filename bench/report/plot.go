//go:build linux

package main

import (
	"bytes"
	"fmt"
	"image/color"
	"math"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/siokit/siokit/bench/internal/matrix"
)

// The size of a plot, and of what is beside it.
const (
	plotWidth   = 640
	plotHeight  = 360
	legendWidth = 130
)

// pens are the looks of the lines, by the order of the servers that are drawn. The colours can be
// told from each other by the colour-blind, and the shapes without colours.
var pens = []struct {
	color color.RGBA
	shape draw.GlyphDrawer
	dash  []vg.Length
}{
	{color.RGBA{R: 0, G: 114, B: 178, A: 255}, draw.CircleGlyph{}, nil},
	{color.RGBA{R: 86, G: 180, B: 233, A: 255}, draw.BoxGlyph{}, nil},
	{color.RGBA{R: 213, G: 94, B: 0, A: 255}, draw.TriangleGlyph{}, []vg.Length{6, 3}},
	{color.RGBA{R: 204, G: 121, B: 167, A: 255}, draw.PyramidGlyph{}, []vg.Length{6, 3}},
	{color.RGBA{R: 0, G: 158, B: 115, A: 255}, draw.SquareGlyph{}, []vg.Length{2, 2}},
	{color.RGBA{R: 90, G: 90, B: 90, A: 255}, draw.CrossGlyph{}, []vg.Length{1, 3}},
}

// plots draws the curves: an SVG for each, by the name of its file.
func (in *info) plots(cells []matrix.Cell) (map[string][]byte, error) {
	all := map[string][]byte{}
	for _, c := range in.Points.curves() {
		if len(c.at) == 0 {
			continue
		}
		svg, err := in.plot(&c, cells)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		all[c.name+".svg"] = svg
	}
	return all, nil
}

// points are those of one line, with what the rounds differ by. What is not more than 0 has no
// place on a logarithmic axis.
type points struct {
	plotter.XYs
	plotter.YErrors
}

func (c *curve) points(t *matrix.Table, server string) (p points) {
	for i, n := range c.at {
		if s := t.Spread(server, c.columns[i].scenario); s.N > 0 && s.Least > 0 {
			p.XYs = append(p.XYs, plotter.XY{X: float64(n), Y: s.Median})
			p.YErrors = append(p.YErrors, struct{ Low, High float64 }{s.Median - s.Least, s.Most - s.Median})
		}
	}
	return p
}

// label is what the legend says.
func (e *entry) label() string {
	if e.Ours {
		return "siokit, " + e.Name
	}
	return e.Name
}

func (in *info) plot(c *curve, cells []matrix.Cell) ([]byte, error) {
	values, err := matrix.Tabulate(cells, "", []string{c.metric})
	if err != nil {
		return nil, err
	}
	plot.DefaultFont = font.Font{Typeface: "Liberation", Variant: "Sans"}
	p, legend := plot.New(), plot.NewLegend()
	p.X.Label.Text, p.Y.Label.Text = c.x, c.y
	p.X.Scale, p.Y.Scale = plot.LogScale{}, plot.LogScale{}
	p.Add(plotter.NewGrid())
	legend.Top, legend.Left, legend.Padding = true, true, 4
	legend.ThumbnailWidth = 24
	drawn := 0
	for _, e := range in.Entries {
		if !e.Drawn {
			continue
		}
		pen := pens[drawn%len(pens)]
		drawn++
		at := c.points(values, e.Name)
		if len(at.XYs) == 0 {
			continue
		}
		line, shapes, err := plotter.NewLinePoints(at.XYs)
		if err != nil {
			return nil, err
		}
		spread, err := plotter.NewYErrorBars(at)
		if err != nil {
			return nil, err
		}
		line.Color, line.Width, line.Dashes = pen.color, 1.5, pen.dash
		shapes.Color, shapes.Shape, shapes.Radius = pen.color, pen.shape, 3
		spread.Color, spread.CapWidth = pen.color, 4
		p.Add(line, shapes, spread)
		legend.Add(e.label(), line, shapes)
	}
	if math.IsInf(p.Y.Min, 0) { // nothing was measured
		p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 1, 10, 1, 10
	}
	p.Y.Min, p.Y.Max = p.Y.Min/1.2, p.Y.Max*1.2
	p.X.Min, p.X.Max = p.X.Min/1.1, p.X.Max*1.1
	p.X.Tick.Marker, p.Y.Tick.Marker = c.ticks(), decades{}

	canvas := vgsvg.New(plotWidth, plotHeight)
	area := draw.New(canvas)
	area.SetColor(color.White)
	area.Fill(area.Rectangle.Path())
	p.Draw(draw.Crop(area, 6, -legendWidth, 6, -10))
	legend.Draw(draw.Crop(area, plotWidth-legendWidth+10, 0, 0, -14))
	var svg bytes.Buffer
	if _, err := canvas.WriteTo(&svg); err != nil {
		return nil, err
	}
	// The font is not on every machine.
	return bytes.ReplaceAll(svg.Bytes(), []byte("font-family:Liberation Sans;"), []byte("font-family:Liberation Sans,Arial,Helvetica,sans-serif;")), nil
}

// ticks are at the points that were measured.
func (c *curve) ticks() plot.ConstantTicks {
	var all plot.ConstantTicks
	for i, n := range c.at {
		all = append(all, plot.Tick{Value: float64(n), Label: c.columns[i].heading})
	}
	return all
}

// decades are ticks at 1, 2 and 5 times the powers of ten.
type decades struct{}

var _ plot.Ticker = decades{}

// Ticks are those from min to max.
func (decades) Ticks(min, max float64) (ticks []plot.Tick) {
	for exp := int(math.Floor(math.Log10(min))); exp <= int(math.Ceil(math.Log10(max))); exp++ {
		for _, n := range []float64{1, 2, 5} {
			if v := n * math.Pow10(exp); v >= min && v <= max {
				ticks = append(ticks, plot.Tick{Value: v, Label: strconv.FormatFloat(v, 'g', 6, 64)})
			}
		}
	}
	return ticks
}
