// Package pictures looks at what people see: its tests draw every kind of alert on
// every channel, and the pages, with headless Chromium, measure them and compare
// them with golden images. They run by `make pictures` only, for they need a browser.
//
// It holds no code that ships.
//
// What is compared, and why not pixel by pixel: fonts differ from machine to machine,
// and with them the width of every word, the place of every line break, and so every
// pixel below the first line. What must not change unseen is coarser: which elements
// there are, in which order and how wide in their card (layout, compared exactly but
// for two per cent of the card's width), and how dark each part of the whole is
// (the picture, averaged down to 24 by 32 cells whatever its height, and compared as
// three by four parts). A lost heading, bar, button or column shows in the first, a lost
// colour in the second; another font shows in neither. Heights follow the font, and are
// not compared.
package pictures
