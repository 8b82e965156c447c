import { mount } from 'svelte'
import 'uplot/dist/uPlot.min.css'
import '../ui/styles/tokens.css'
import '../ui/styles/base.css'
import './ops.css'
import { entrance } from './net/connect'
import Page from './Page.svelte'

const target = document.getElementById('app')
if (!target) throw new Error('the page has no place for the app')
mount(Page, { target, props: { entrance } })
